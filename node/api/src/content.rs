//! Content by CID: files, folders, pins, CAR files, garbage.

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::error::ApiError;

/// Bytes as they come in or go out.
pub type ByteStream = BoxStream<'static, Result<Vec<u8>, ApiError>>;

/// Content as an answer: how long it is, where that is known, and its bytes.
pub struct ContentBody {
    /// Its CID, after the path was followed.
    pub cid: String,
    /// Bytes in all, as the content says of itself.
    pub size: Option<u64>,
    /// The bytes.
    pub body: ByteStream,
}

/// How content is to be had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetch {
    /// Longest wait for one block, in seconds; 30 unless given, 0 to look on this node alone.
    pub timeout_s: Option<u64>,
    /// Most bytes of blocks to take; 64 GiB unless given.
    pub max_bytes: Option<u64>,
}

/// Whether something that is stored is pinned, and as what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Whether it is pinned.
    pub pin: bool,
    /// What the pin is called.
    pub name: Option<String>,
}

/// Something that was added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AddedContent {
    /// Its CID.
    pub cid: String,
    /// Bytes of a file; 0 for a folder.
    pub bytes: u64,
    /// Bytes of all its blocks.
    pub size: u64,
    /// Whether it is pinned.
    pub pinned: bool,
}

/// `POST /ipfs/folders`: a folder of content that is on the node already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AddFolder {
    /// The entries, in any order.
    pub entries: Vec<FolderEntry>,
    /// Whether the folder is pinned with all below it.
    #[serde(default)]
    pub pin: bool,
    /// What the pin is called.
    #[serde(default)]
    pub name: Option<String>,
}

/// An entry of a folder to be made: either `cid` or `symlink`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FolderEntry {
    /// Its name.
    pub name: String,
    /// The content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cid: Option<String>,
    /// Where a symbolic link leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symlink: Option<String>,
}

/// What a CID and path stand for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ContentEntry {
    /// Its name; empty for a CID without a path.
    pub name: String,
    /// Its CID.
    pub cid: String,
    /// `file`, `folder`, `symlink` or `other`.
    pub kind: String,
    /// Bytes of a file; of anything else what its blocks take. Both as their author says.
    pub size: u64,
    /// Where a symbolic link leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// `GET /ipfs/ls/{cid}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Listing {
    /// What the CID and path stand for.
    pub entry: ContentEntry,
    /// What is in it, where that is a folder, by name.
    pub entries: Vec<ContentEntry>,
}

/// `POST /ipfs/pins`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AddPin {
    /// The root.
    pub cid: String,
    /// What the pin is called.
    #[serde(default)]
    pub name: Option<String>,
}

/// A pin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PinView {
    /// The pinned CID.
    pub cid: String,
    /// Whether everything below is pinned too. Pins of single blocks are the node's own, of its
    /// playbook and documents.
    pub recursive: bool,
    /// What the user called it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it was pinned (RFC 3339), where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ts: Option<String>,
}

/// The outcome of a garbage collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Collected {
    /// Blocks removed.
    pub removed: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Blocks kept.
    pub kept: u64,
    /// Blocks kept only because they were stored or fetched in the last ten minutes, at least.
    pub fresh: u64,
    /// Blocks that pinned content needs and that are not here.
    pub missing: u64,
}

/// What a CAR brought in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ImportedCar {
    /// The roots it names.
    pub roots: Vec<String>,
    /// Blocks in it.
    pub blocks: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Whether the roots are pinned.
    pub pinned: bool,
}

/// Content by CID, as the control API offers it.
///
/// Calls fail with the [`ApiError`] that their route turns into a problem document; what is stored
/// is durable when a call returns.
#[async_trait]
pub trait Content: Send + Sync + 'static {
    /// Adds a file.
    async fn add_file(&self, body: ByteStream, keep: Keep) -> Result<AddedContent, ApiError>;
    /// Makes a folder of content that is here.
    async fn add_folder(&self, request: AddFolder) -> Result<AddedContent, ApiError>;
    /// A file's content.
    async fn cat(&self, cid: &str, path: &str, fetch: Fetch) -> Result<ContentBody, ApiError>;
    /// What a CID and path stand for, and what is in it.
    async fn ls(&self, cid: &str, path: &str, fetch: Fetch) -> Result<Listing, ApiError>;
    /// Pins a DAG, fetching what is missing.
    async fn pin(&self, request: AddPin, fetch: Fetch) -> Result<PinView, ApiError>;
    /// Takes a pin back.
    async fn unpin(&self, cid: &str) -> Result<PinView, ApiError>;
    /// Every pin.
    async fn pins(&self) -> Result<Vec<PinView>, ApiError>;
    /// Removes what nothing needs.
    async fn collect_garbage(&self) -> Result<Collected, ApiError>;
    /// A CAR of everything below a CID.
    async fn export(&self, cid: &str, fetch: Fetch) -> Result<ContentBody, ApiError>;
    /// Takes a CAR in.
    async fn import(&self, body: ByteStream, keep: Keep) -> Result<ImportedCar, ApiError>;
}
