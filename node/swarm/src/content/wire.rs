//! The two wire forms below the content formats: varints, and the fields of protocol buffers.

/// Appends an unsigned varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    loop {
        let low = (n & 0x7f) as u8;
        n >>= 7;
        if n == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Takes an unsigned varint of at most 64 bits off the front.
pub(crate) fn take_varint(input: &mut &[u8]) -> Option<u64> {
    let mut n: u64 = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = input.split_first()?;
        *input = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        n |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

/// The value of a protocol buffer's field; other wire types are not used by the formats read here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Takes one field off the front.
pub(crate) fn take_field<'a>(input: &mut &'a [u8]) -> Option<(u64, Field<'a>)> {
    let key = take_varint(input)?;
    let value = match key & 7 {
        0 => Field::Number(take_varint(input)?),
        2 => {
            let length = usize::try_from(take_varint(input)?).ok()?;
            let (bytes, rest) = input.split_at_checked(length)?;
            *input = rest;
            Field::Bytes(bytes)
        }
        _ => return None,
    };
    Some((key >> 3, value))
}

/// Appends a field that is a number.
pub(crate) fn put_number(out: &mut Vec<u8>, field: u64, n: u64) {
    put_varint(out, field << 3);
    put_varint(out, n);
}

/// Appends a field of bytes.
pub(crate) fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(n: u64, bytes: Vec<u8>) {
            let mut out = Vec::new();
            put_number(&mut out, 3, n);
            put_bytes(&mut out, 1, &bytes);
            let mut input = out.as_slice();
            prop_assert_eq!(take_field(&mut input), Some((3, Field::Number(n))));
            prop_assert_eq!(take_field(&mut input), Some((1, Field::Bytes(&bytes))));
            prop_assert!(input.is_empty());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let mut input = bytes.as_slice();
            while take_field(&mut input).is_some() {}
        }
    }

    #[test]
    fn numbers_beyond_64_bits_are_refused() {
        let mut input: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        assert_eq!(take_varint(&mut input), None);
        let mut input: &[u8] = &[0x80];
        assert_eq!(take_varint(&mut input), None);
    }
}
