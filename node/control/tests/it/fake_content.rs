//! The fake node's content: it counts what is uploaded, and keeps nothing.

use async_trait::async_trait;
use futures::StreamExt as _;
use pagi_api::{
    ApiError,
    content::{
        AddFolder, AddPin, AddedContent, ByteStream, Collected, Content, ContentBody, Fetch,
        ImportedCar, Keep, Listing, PinView,
    },
};

pub struct Counting;

fn none<T>() -> Result<T, ApiError> {
    Err(ApiError::Unavailable("this node keeps no content".into()))
}

#[async_trait]
impl Content for Counting {
    async fn add_file(&self, mut body: ByteStream, keep: Keep) -> Result<AddedContent, ApiError> {
        let mut bytes = 0;
        while let Some(piece) = body.next().await {
            bytes += piece?.len() as u64;
        }
        Ok(AddedContent {
            cid: "bafy".into(),
            bytes,
            size: bytes,
            pinned: keep.pin,
        })
    }

    async fn add_folder(&self, _: AddFolder) -> Result<AddedContent, ApiError> {
        none()
    }

    async fn cat(&self, _: &str, _: &str, _: Fetch) -> Result<ContentBody, ApiError> {
        none()
    }

    async fn ls(&self, _: &str, _: &str, _: Fetch) -> Result<Listing, ApiError> {
        none()
    }

    async fn pin(&self, _: AddPin, _: Fetch) -> Result<PinView, ApiError> {
        none()
    }

    async fn unpin(&self, _: &str) -> Result<PinView, ApiError> {
        none()
    }

    async fn pins(&self) -> Result<Vec<PinView>, ApiError> {
        none()
    }

    async fn collect_garbage(&self) -> Result<Collected, ApiError> {
        none()
    }

    async fn export(&self, _: &str, _: Fetch) -> Result<ContentBody, ApiError> {
        none()
    }

    async fn import(&self, _: ByteStream, _: Keep) -> Result<ImportedCar, ApiError> {
        none()
    }
}
