//! Files, folders, pins, CAR files and garbage, by CID. Bodies of content are streams both ways:
//! neither side holds more than a few blocks of it.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{FromRequest, Request, State},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};
use pagi_api::{
    ApiError,
    content::{
        AddFolder, AddPin, AddedContent, ByteStream, Collected, Content, ContentBody, Fetch,
        ImportedCar, Keep, Listing, PinView,
    },
};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Api, Route, non_empty};
use crate::{
    extract::{JsonObject, Params, Segment},
    failure::Failure,
    work::UnderWay,
};

const TAG: &str = "content";
const BYTES: &str = "application/octet-stream";
const CAR: &str = "application/vnd.ipld.car";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/ipfs/files", add_file)
            .about(TAG, "Add a file")
            .detail(
                "The body is the file, of any length; it is stored as it comes in. The CID is that \
                 of Kubo's `ipfs add --cid-version=1 --raw-leaves`.",
            )
            .query::<Adding>()
            .takes::<String>(r#""hello""#)
            .takes_as(&[BYTES])
            .gives::<AddedContent>(),
        Route::get("/ipfs/files/{cid}", cat)
            .about(TAG, "Read a file by its CID, from here or from the swarm")
            .detail("A connection that breaks off means that the file could not be had whole.")
            .query::<Reading>()
            .gives_as(BYTES, bytes, "The file."),
        Route::post("/ipfs/folders", add_folder)
            .about(TAG, "Make a folder of content that is here")
            .takes::<AddFolder>(
                r#"{"entries":[{"name":"empty.txt","cid":"bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"}],"pin":true}"#,
            )
            .gives::<AddedContent>(),
        Route::get("/ipfs/ls/{cid}", ls)
            .about(TAG, "List a folder by its CID, from here or from the swarm")
            .query::<Reading>()
            .gives::<Listing>(),
        Route::get("/ipfs/pins", pins)
            .about(TAG, "List the pins")
            .gives::<Vec<PinView>>(),
        Route::post("/ipfs/pins", pin)
            .about(TAG, "Pin content with all below it, fetching what is missing")
            .query::<Fetching>()
            .takes::<AddPin>(
                r#"{"cid":"bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"}"#,
            )
            .gives::<PinView>(),
        Route::delete("/ipfs/pins/{cid}", unpin)
            .about(TAG, "Take a pin back")
            .gives::<PinView>(),
        Route::post("/ipfs/gc", collect)
            .about(TAG, "Remove blocks that nothing needs")
            .detail(
                "Kept are pins with what is below them, the playbook with its history, and what was \
                 stored or fetched in the last ten minutes.",
            )
            .gives::<Collected>(),
        Route::get("/ipfs/car/{cid}", export)
            .about(TAG, "Export content as a CAR (version 1)")
            .query::<Fetching>()
            .gives_as(CAR, bytes, "The CAR."),
        Route::post("/ipfs/car", import)
            .about(TAG, "Import a CAR (version 1)")
            .query::<Adding>()
            .takes::<String>(r#""a CAR""#)
            .takes_as(&[CAR])
            .gives::<ImportedCar>(),
    ]
}

fn bytes(_: &mut SchemaGenerator) -> Value {
    json!({ "type": "string", "format": "binary" })
}

/// The query of `POST /ipfs/files` and `POST /ipfs/car`.
#[derive(Deserialize, JsonSchema)]
struct Adding {
    /// Whether it is pinned; true unless given.
    pin: Option<bool>,
    /// What the pin is called.
    name: Option<String>,
}

/// The query of calls that fetch a file or folder.
#[derive(Deserialize, JsonSchema)]
struct Reading {
    /// Names from the CID to the wanted entry, with `/` between them.
    path: Option<String>,
    /// Longest wait for one block, in seconds; 30 unless given, 0 to look on this node alone.
    timeout: Option<u64>,
    /// Most bytes of blocks to take; 64 GiB unless given.
    max_bytes: Option<u64>,
}

/// The query of calls that fetch whole DAGs.
#[derive(Deserialize, JsonSchema)]
struct Fetching {
    /// Longest wait for one block, in seconds; 30 unless given, 0 to look on this node alone.
    timeout: Option<u64>,
    /// Most bytes of blocks to take; 64 GiB unless given.
    max_bytes: Option<u64>,
}

impl From<Adding> for Keep {
    fn from(query: Adding) -> Self {
        Keep {
            pin: query.pin.unwrap_or(true),
            name: non_empty(query.name),
        }
    }
}

fn content(api: &Api) -> Result<Arc<dyn Content>, Failure> {
    api.node
        .content()
        .ok_or_else(|| ApiError::Unavailable("this node keeps no content".into()).into())
}

/// A body of any length, as it comes. It must say that it is bytes: a web page of another origin
/// cannot do that without asking first.
struct Upload(ByteStream);

impl FromRequest<Api> for Upload {
    type Rejection = Failure;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        check_kind(&parts.headers)?;
        let silence = api.limits.body;
        let under_way = parts.extensions.get::<UnderWay>().cloned();
        let under_way = under_way.unwrap_or_default();
        let begin = (body.into_data_stream(), under_way);
        let pieces = stream::unfold(Some(begin), move |body| async move {
            let (mut body, under_way) = body?;
            under_way.tell();
            match tokio::time::timeout(silence, body.next()).await {
                Ok(Some(Ok(piece))) => Some((Ok(piece.into()), Some((body, under_way)))),
                Ok(Some(Err(error))) => Some((broken(error.to_string()), None)),
                Ok(None) => None,
                Err(_) => {
                    let text = format!("nothing came for {} s", silence.as_secs());
                    Some((broken(text), None))
                }
            }
        });
        Ok(Self(pieces.boxed()))
    }
}

fn broken(reason: String) -> Result<Vec<u8>, ApiError> {
    Err(ApiError::Malformed(reason))
}

fn check_kind(headers: &HeaderMap) -> Result<(), Failure> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default()
        .to_ascii_lowercase();
    if kind == BYTES || kind == CAR {
        return Ok(());
    }
    let detail = "send the content with `Content-Type: application/octet-stream`";
    Err(Failure::unsupported_media_type(detail))
}

async fn add_file(
    State(api): State<Api>,
    Params(query): Params<Adding>,
    Upload(body): Upload,
) -> Result<Json<AddedContent>, Failure> {
    Ok(Json(content(&api)?.add_file(body, query.into()).await?))
}

async fn add_folder(
    State(api): State<Api>,
    JsonObject(request): JsonObject<AddFolder>,
) -> Result<Json<AddedContent>, Failure> {
    Ok(Json(content(&api)?.add_folder(request).await?))
}

async fn cat(
    State(api): State<Api>,
    Segment(cid): Segment,
    Params(query): Params<Reading>,
) -> Result<Response, Failure> {
    let (fetch, path) = query.split();
    let found = content(&api)?.cat(&cid, &path, fetch).await?;
    Ok(download(&api, found, BYTES))
}

async fn ls(
    State(api): State<Api>,
    Segment(cid): Segment,
    Params(query): Params<Reading>,
) -> Result<Json<Listing>, Failure> {
    let (fetch, path) = query.split();
    Ok(Json(content(&api)?.ls(&cid, &path, fetch).await?))
}

impl Reading {
    fn split(self) -> (Fetch, String) {
        let fetch = Fetch {
            timeout_s: self.timeout,
            max_bytes: self.max_bytes,
        };
        (fetch, self.path.unwrap_or_default())
    }
}

impl From<Fetching> for Fetch {
    fn from(query: Fetching) -> Self {
        Fetch {
            timeout_s: query.timeout,
            max_bytes: query.max_bytes,
        }
    }
}

async fn pins(State(api): State<Api>) -> Result<Json<Vec<PinView>>, Failure> {
    Ok(Json(content(&api)?.pins().await?))
}

async fn pin(
    State(api): State<Api>,
    Params(query): Params<Fetching>,
    JsonObject(request): JsonObject<AddPin>,
) -> Result<Json<PinView>, Failure> {
    Ok(Json(content(&api)?.pin(request, query.into()).await?))
}

async fn unpin(State(api): State<Api>, Segment(cid): Segment) -> Result<Json<PinView>, Failure> {
    Ok(Json(content(&api)?.unpin(&cid).await?))
}

async fn collect(State(api): State<Api>) -> Result<Json<Collected>, Failure> {
    Ok(Json(content(&api)?.collect_garbage().await?))
}

async fn export(
    State(api): State<Api>,
    Segment(cid): Segment,
    Params(query): Params<Fetching>,
) -> Result<Response, Failure> {
    let found = content(&api)?.export(&cid, query.into()).await?;
    Ok(download(&api, found, CAR))
}

async fn import(
    State(api): State<Api>,
    Params(query): Params<Adding>,
    Upload(body): Upload,
) -> Result<Json<ImportedCar>, Failure> {
    Ok(Json(content(&api)?.import(body, query.into()).await?))
}

/// An answer that streams. Where the size is known it is promised, so that content that breaks off
/// cannot pass for whole; where it is not, the chunks are not ended.
fn download(api: &Api, found: ContentBody, kind: &'static str) -> Response {
    let closing = Box::pin(api.work.closing());
    let body = found.body.map(|piece| {
        piece.inspect_err(|error| tracing::info!(%error, "content broke off on its way out"))
    });
    let stopped = stream::once(async {
        closing.await;
        Err(ApiError::Unavailable("the node is stopping".into()))
    });
    let body = stream::select(
        body.map(Some).chain(stream::once(async { None })),
        stopped.map(Some),
    )
    .take_while(|piece| std::future::ready(piece.is_some()))
    .filter_map(std::future::ready);
    let mut response = Body::from_stream(body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(size) = found.size {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    }
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{}\"", found.cid)) {
        headers.insert(header::ETAG, etag);
    }
    response
}
