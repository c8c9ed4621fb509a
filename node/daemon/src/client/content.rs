//! Content on its way to and from the node, never whole in memory.

use std::io;

use futures::{Stream, TryStreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    Method, Request,
    body::{Bytes, Frame, Incoming},
    header,
};
use serde::de::DeserializeOwned;

use super::{Client, failure::problem, read_body};
use crate::cli::CliError;

/// Bytes as they come from the node.
#[derive(Debug)]
pub struct Download {
    /// How many there are, where the node says so.
    pub size: Option<u64>,
    body: Incoming,
}

impl Download {
    /// The next bytes; `None` when all are there.
    ///
    /// # Errors
    /// [`CliError`] when the node could not go on, or the connection is lost.
    pub async fn next(&mut self) -> Result<Option<Bytes>, CliError> {
        loop {
            let Some(frame) = self.body.frame().await else {
                return Ok(None);
            };
            let frame = frame.map_err(|_| {
                CliError::new(
                    "the content broke off: the node could not get the rest of it",
                    "try again, with a longer --timeout; `pagi peers` shows who is connected",
                )
            })?;
            if let Ok(bytes) = frame.into_data() {
                return Ok(Some(bytes));
            }
        }
    }
}

impl Client {
    /// `POST path` with a body of the media type `kind`, as it comes.
    ///
    /// # Errors
    /// As [`Client::get`], and when `body` fails.
    pub async fn upload<T: DeserializeOwned>(
        &self,
        path: &str,
        kind: &'static str,
        body: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<T, CliError> {
        let request = self.request(Method::POST, path, None, "application/json", None)?;
        let (mut parts, _) = request.into_parts();
        let kind = header::HeaderValue::from_static(kind);
        parts.headers.insert(header::CONTENT_TYPE, kind);
        let (failed, failure) = std::sync::mpsc::channel();
        let body = body.map_ok(Frame::data).inspect_err(move |error| {
            let _ = failed.send(error.to_string());
        });
        let request = Request::from_parts(parts, StreamBody::new(Box::pin(body)));
        let answer = async {
            let response = self.send(request).await?;
            let status = response.status();
            let bytes = read_body(response).await?;
            match status.is_success() {
                true => serde_json::from_slice(&bytes).map_err(|error| {
                    CliError::new(
                        format!("the node's answer to {path} cannot be read: {error}"),
                        "use a `pagi` of the node's version; `pagi doctor` compares them",
                    )
                }),
                false => Err(problem(status, &bytes)),
            }
        };
        answer.await.map_err(|error| match failure.try_recv() {
            Ok(cause) => CliError::new(
                format!("cannot read what is to be added: {cause}"),
                "check the file and its rights",
            ),
            Err(_) => error,
        })
    }

    /// `GET path` as bytes.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn download(&self, path: &str) -> Result<Download, CliError> {
        let request = self.request(Method::GET, path, None, "*/*", None)?;
        let response = self.send(request).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(problem(status, &read_body(response).await?));
        }
        let size = response.headers().get(header::CONTENT_LENGTH);
        let size = size.and_then(|size| size.to_str().ok()?.parse().ok());
        Ok(Download {
            size,
            body: response.into_body(),
        })
    }
}
