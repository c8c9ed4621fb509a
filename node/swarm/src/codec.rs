//! Framing of requests and replies: a four-byte big-endian length, then that many bytes.
//!
//! The length makes "no reply" (the stream closes) differ from an empty reply, and lets an
//! oversize frame be refused before any of it is read.

use std::io;

use async_trait::async_trait;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{StreamProtocol, request_response};

/// Bytes in both directions, each way at most `max` long.
#[derive(Clone, Debug)]
pub(crate) struct BytesCodec {
    pub(crate) max: usize,
}

impl BytesCodec {
    async fn read<T: AsyncRead + Unpin + Send>(&self, io: &mut T) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        io.read_exact(&mut length).await?;
        let length = u32::from_be_bytes(length) as usize;
        if length > self.max {
            let what = format!("frame of {length} bytes, limit {}", self.max);
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        // Grows with what arrives: a peer that only announces a megabyte does not get one.
        let mut data = Vec::with_capacity(length.min(8 * 1024));
        io.take(length as u64).read_to_end(&mut data).await?;
        if data.len() < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(data)
    }

    async fn write<T: AsyncWrite + Unpin + Send>(&self, io: &mut T, data: &[u8]) -> io::Result<()> {
        if data.len() > self.max {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "frame too large",
            ));
        }
        let length = u32::try_from(data.len()).map_err(io::Error::other)?;
        io.write_all(&length.to_be_bytes()).await?;
        io.write_all(data).await
    }
}

#[async_trait]
impl request_response::Codec for BytesCodec {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        self.read(io).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        self.read(io).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        data: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        self.write(io, &data).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        data: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        self.write(io, &data).await
    }
}

/// The frame at the start of `bytes`, read as from a stream that ends with them.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] for a frame longer than `max`, [`io::ErrorKind::UnexpectedEof`] for
/// one that is not whole.
#[doc(hidden)]
pub fn read_frame(bytes: &[u8], max: usize) -> io::Result<Vec<u8>> {
    let mut stream = futures::io::Cursor::new(bytes);
    futures::executor::block_on(BytesCodec { max }.read(&mut stream))
}

/// `data` as a frame.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] where it is longer than `max`.
#[doc(hidden)]
pub fn write_frame(data: &[u8], max: usize) -> io::Result<Vec<u8>> {
    let mut stream = Vec::new();
    futures::executor::block_on(BytesCodec { max }.write(&mut stream, data))?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::io::Cursor;

    use super::*;

    fn roundtrip(data: &[u8], max: usize) -> io::Result<Vec<u8>> {
        let mut wire = Vec::new();
        block_on(BytesCodec { max: usize::MAX }.write(&mut wire, data))?;
        block_on(BytesCodec { max }.read(&mut Cursor::new(wire)))
    }

    #[test]
    fn frames_come_back_as_they_were_up_to_the_limit() {
        for size in [0, 1, 8 * 1024, 8 * 1024 + 1, 100_000] {
            let data = vec![5; size];
            assert_eq!(roundtrip(&data, size).unwrap(), data);
        }
        let refused = roundtrip(&[5; 11], 10).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_closed_stream_is_not_an_empty_reply() {
        let codec = BytesCodec { max: 10 };
        for wire in [&[][..], &[0, 0], &[0, 0, 0, 3, 1, 2]] {
            let error = block_on(codec.read(&mut Cursor::new(wire.to_vec()))).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn too_much_is_not_written() {
        let mut wire = Vec::new();
        assert!(block_on(BytesCodec { max: 2 }.write(&mut wire, b"abc")).is_err());
        assert!(wire.is_empty());
    }
}
