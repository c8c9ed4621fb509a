//! Documents by name: JSON of the node's own that is kept whole and read back whole, such as held
//! mail, credentials and notices. A name is a path; what lies under a prefix can be listed.

use redb::{ReadableTable, WriteTransaction};
use serde_json::Value;

use crate::{error::StoreError, store::Store, tables::DOCUMENTS};

/// Takes a document away, if it is there.
pub(crate) fn remove(txn: &WriteTransaction, name: &str) -> Result<(), StoreError> {
    txn.open_table(DOCUMENTS.definition())?.remove(name)?;
    Ok(())
}

/// Reads; see those of the other records for their errors.
impl Store {
    /// The document with a name.
    ///
    /// # Errors
    /// Those of every read.
    pub fn document(&self, name: &str) -> Result<Option<Value>, StoreError> {
        let table = self.begin_read()?.open_table(DOCUMENTS.definition())?;
        match table.get(name)? {
            Some(bytes) => Ok(Some(DOCUMENTS.read_json(name, bytes.value())?)),
            None => Ok(None),
        }
    }

    /// Every document whose name starts with `prefix`, in the order of their names.
    ///
    /// # Errors
    /// Those of every read.
    pub fn documents(&self, prefix: &str) -> Result<Vec<(String, Value)>, StoreError> {
        let table = self.begin_read()?.open_table(DOCUMENTS.definition())?;
        let mut found = Vec::new();
        for row in ReadableTable::range(&table, prefix..)? {
            let (name, bytes) = row?;
            let name = name.value();
            if !name.starts_with(prefix) {
                break;
            }
            found.push((name.to_owned(), DOCUMENTS.read_json(name, bytes.value())?));
        }
        Ok(found)
    }
}
