//! The tool gateway and plugins.

use axum::{Json, extract::State, http::StatusCode};
use pagi_api::tools::{
    AllowTool, ExecuteTool, InstallPlugin, Plugin, RegisterTool, Tool, ToolResult,
};

use super::{Api, Route};
use crate::{
    extract::{JsonObject, MaybeObject, Segment},
    failure::Failure,
};

const TAG: &str = "tools";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/register_tool", register)
            .about(TAG, "Register a tool")
            .detail("With a `twin_id`, for that twin alone.")
            .takes::<RegisterTool>(
                r#"{"tool":{"name":"weather","description":"The weather in a city","plugin_url":"http://127.0.0.1:9000","endpoint":"/weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}"#,
            )
            .creates()
            .gives::<Tool>(),
        Route::get("/tools", list).about(TAG, "List every tool").gives::<Vec<Tool>>(),
        Route::get("/tools/{twin_id}", list_for_twin)
            .about(TAG, "List a twin's tools and which of them it may call")
            .gives::<Vec<Tool>>(),
        Route::post("/tools/{twin_id}/allow", allow)
            .about(TAG, "Grant a tool to a twin, or deny it")
            .takes::<AllowTool>(r#"{"name":"calculator","allowed":true}"#)
            .gives::<Tool>(),
        Route::post("/execute/{tool_name}", execute)
            .about(TAG, "Call a tool")
            .detail("As the node's user, or as the twin that is named.")
            .takes::<ExecuteTool>(r#"{"parameters":{"expression":"6*7"}}"#)
            .or_nothing()
            .gives::<ToolResult>(),
        Route::get("/plugins", plugins)
            .about(TAG, "List the plugins found, loaded or not")
            .gives::<Vec<Plugin>>(),
        Route::post("/plugins", install)
            .about(TAG, "Install a plugin")
            .detail(
                "Its folder, on the node's machine, is tried, copied and loaded; it is there after \
                 a restart too. Its tools are for the node's user until they are allowed to a twin. \
                 409 where a plugin of its name is there.",
            )
            .takes::<InstallPlugin>(r#"{"path":"/home/me/plugins/text_stats"}"#)
            .creates()
            .gives::<Plugin>(),
        Route::delete("/plugins/{plugin_name}", remove)
            .about(TAG, "Remove an installed plugin, and what was allowed of it")
            .gives::<Plugin>(),
    ]
}

async fn register(
    State(api): State<Api>,
    JsonObject(request): JsonObject<RegisterTool>,
) -> Result<(StatusCode, Json<Tool>), Failure> {
    Ok((
        StatusCode::CREATED,
        Json(api.node.register_tool(request).await?),
    ))
}

async fn list(State(api): State<Api>) -> Result<Json<Vec<Tool>>, Failure> {
    Ok(Json(api.node.tools(None).await?))
}

async fn list_for_twin(
    State(api): State<Api>,
    Segment(twin_id): Segment,
) -> Result<Json<Vec<Tool>>, Failure> {
    Ok(Json(api.node.tools(Some(&twin_id)).await?))
}

async fn allow(
    State(api): State<Api>,
    Segment(twin_id): Segment,
    JsonObject(request): JsonObject<AllowTool>,
) -> Result<Json<Tool>, Failure> {
    Ok(Json(api.node.allow_tool(&twin_id, request).await?))
}

async fn execute(
    State(api): State<Api>,
    Segment(name): Segment,
    MaybeObject(request): MaybeObject<ExecuteTool>,
) -> Result<Json<ToolResult>, Failure> {
    Ok(Json(api.node.execute_tool(&name, request).await?))
}

async fn plugins(State(api): State<Api>) -> Result<Json<Vec<Plugin>>, Failure> {
    Ok(Json(api.node.plugins().await?))
}

async fn install(
    State(api): State<Api>,
    JsonObject(request): JsonObject<InstallPlugin>,
) -> Result<(StatusCode, Json<Plugin>), Failure> {
    Ok((
        StatusCode::CREATED,
        Json(api.node.install_plugin(request).await?),
    ))
}

async fn remove(State(api): State<Api>, Segment(name): Segment) -> Result<Json<Plugin>, Failure> {
    Ok(Json(api.node.remove_plugin(&name).await?))
}
