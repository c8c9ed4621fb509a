//! Framing of requests and replies: a four-byte big-endian length, then that many bytes.
//!
//! The length makes "no reply" (the stream closes) differ from an empty reply, and lets an
//! oversize frame be refused before any of it is read. What others send and read is bounded in time,
//! and what they are in the middle of sending in size, all of them together: a peer that opens many
//! streams and sends slowly, or never reads, ties up little and not for long.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{StreamProtocol, request_response};

/// Read at once.
const CHUNK: usize = 8 * 1024;

/// Bytes of requests that are being read, all peers together.
#[derive(Clone, Debug)]
pub(crate) struct Intake {
    limit: usize,
    taken: Arc<AtomicUsize>,
    /// How long one request may take to arrive, and one reply to be read.
    time: Option<Duration>,
}

impl Intake {
    pub(crate) fn new(limit: usize, time: Option<Duration>) -> Self {
        Intake {
            limit,
            taken: Arc::default(),
            time,
        }
    }

    async fn in_time<T>(&self, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        match self.time {
            Some(time) => tokio::time::timeout(time, work)
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
            None => work.await,
        }
    }
}

/// Bytes taken of an [`Intake`], given back when dropped.
struct Taken<'a> {
    intake: &'a Intake,
    bytes: usize,
}

impl Taken<'_> {
    fn more(&mut self, bytes: usize) -> io::Result<()> {
        let before = self.intake.taken.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        match before + bytes <= self.intake.limit {
            true => Ok(()),
            false => Err(io::Error::new(
                io::ErrorKind::OutOfMemory,
                "too many requests are arriving at once",
            )),
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.intake.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What came where a request was due. What breaks the rules is handed on like a request: libp2p tells
/// nobody of one that could not be read, and so nobody would learn who sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A request.
    Whole(Vec<u8>),
    /// Longer than allowed.
    TooLong,
    /// Not all of it came in time.
    Late,
}

/// Bytes in both directions, each way at most `max` long.
#[derive(Clone, Debug)]
pub(crate) struct BytesCodec {
    pub(crate) max: usize,
    pub(crate) intake: Intake,
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
        let mut taken = Taken {
            intake: &self.intake,
            bytes: 0,
        };
        let mut data = Vec::new();
        while data.len() < length {
            let start = data.len();
            let chunk = CHUNK.min(length - start);
            taken.more(chunk)?;
            data.resize(start + chunk, 0);
            io.read_exact(&mut data[start..]).await?;
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
    type Request = Asked;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Asked>
    where
        T: AsyncRead + Unpin + Send,
    {
        match self.intake.in_time(self.read(io)).await {
            Ok(data) => Ok(Asked::Whole(data)),
            Err(error) => match error.kind() {
                io::ErrorKind::InvalidData => Ok(Asked::TooLong),
                io::ErrorKind::TimedOut => Ok(Asked::Late),
                // Breaking off is daily life.
                _ => Err(error),
            },
        }
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
        request: Asked,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        match request {
            Asked::Whole(data) => self.write(io, &data).await,
            Asked::TooLong | Asked::Late => Err(io::ErrorKind::InvalidInput.into()),
        }
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
        self.intake.in_time(self.write(io, &data)).await
    }
}

fn unlimited(max: usize) -> BytesCodec {
    BytesCodec {
        max,
        intake: Intake::new(usize::MAX, None),
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
    futures::executor::block_on(unlimited(max).read(&mut stream))
}

/// `data` as a frame.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] where it is longer than `max`.
#[doc(hidden)]
pub fn write_frame(data: &[u8], max: usize) -> io::Result<Vec<u8>> {
    let mut stream = Vec::new();
    futures::executor::block_on(unlimited(max).write(&mut stream, data))?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::io::Cursor;

    use super::*;

    fn roundtrip(data: &[u8], max: usize) -> io::Result<Vec<u8>> {
        let mut wire = Vec::new();
        block_on(unlimited(usize::MAX).write(&mut wire, data))?;
        block_on(unlimited(max).read(&mut Cursor::new(wire)))
    }

    #[test]
    fn what_arrives_at_once_is_bounded_and_given_back() {
        let mut wire = Vec::new();
        block_on(unlimited(1 << 20).write(&mut wire, &[7; 30_000])).unwrap();
        let mut small = unlimited(1 << 20);
        small.intake = Intake::new(20_000, None);
        let refused = block_on(small.read(&mut Cursor::new(&wire))).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::OutOfMemory);
        assert_eq!(small.intake.taken.load(Ordering::Relaxed), 0);
        small.intake = Intake::new(30_000, None);
        assert!(block_on(small.read(&mut Cursor::new(&wire))).is_ok());
        assert_eq!(small.intake.taken.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn what_breaks_the_rules_is_told_and_breaking_off_is_not() {
        use request_response::Codec;
        let protocol = StreamProtocol::new("/x");
        let mut codec = unlimited(2);
        let mut read = async |wire: &[u8]| {
            let mut wire = Cursor::new(wire.to_vec());
            codec.read_request(&protocol, &mut wire).await.ok()
        };
        assert_eq!(read(&[0, 0, 0, 1, 9]).await, Some(Asked::Whole(vec![9])));
        assert_eq!(read(&[0, 0, 0, 3, 9]).await, Some(Asked::TooLong));
        assert_eq!(read(&[0, 0, 0, 2, 9]).await, None);
    }

    #[tokio::test]
    async fn a_peer_that_sends_nothing_is_not_waited_for() {
        let intake = Intake::new(100, Some(Duration::from_millis(5)));
        let never = std::future::pending::<io::Result<()>>();
        let late = intake.in_time(never).await.unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
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
        let codec = unlimited(10);
        for wire in [&[][..], &[0, 0], &[0, 0, 0, 3, 1, 2]] {
            let error = block_on(codec.read(&mut Cursor::new(wire.to_vec()))).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn too_much_is_not_written() {
        let mut wire = Vec::new();
        assert!(block_on(unlimited(2).write(&mut wire, b"abc")).is_err());
        assert!(wire.is_empty());
    }
}
