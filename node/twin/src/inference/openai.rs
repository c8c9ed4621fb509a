//! A model behind the OpenAI chat completions API, streamed, with tool calls.
//!
//! Requests and answers are JSON values rather than the client crate's types: servers differ in the
//! fields they leave out, and a missing field must not cost an answer.

use std::{collections::BTreeMap, time::Duration};

use async_openai::{Client, config::OpenAIConfig, error::OpenAIError};
use futures::StreamExt;
use serde_json::{Value, json};

use super::ModelConfig;
use crate::planner::ToolInfo;

/// Why a model gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// No connection.
    #[error(
        "the model server at {url} cannot be reached: {cause}; start it or correct PAGI_LLM_URL"
    )]
    Unreachable {
        /// The server.
        url: String,
        /// The cause.
        cause: String,
    },
    /// The server said no.
    #[error("the model server at {url} refused: {cause}")]
    Refused {
        /// The server.
        url: String,
        /// What it said.
        cause: String,
    },
    /// The answer did not come in time.
    #[error("the model server at {url} did not answer within {seconds} s")]
    Timeout {
        /// The server.
        url: String,
        /// The limit.
        seconds: u64,
    },
    /// The answer is not of the API's shape.
    #[error(
        "the model server at {url} sent an answer that is not of the chat completions API: {cause}"
    )]
    Malformed {
        /// The server.
        url: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The URL or client configuration cannot be used.
    #[error("PAGI_LLM_URL cannot be used: {0}")]
    Config(String),
}

/// A tool call a model asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedCall {
    /// The model's name for the call.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its parameters as JSON text, not checked yet.
    pub arguments: String,
}

/// One answer of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// What it wrote.
    pub text: String,
    /// The calls it asks for.
    pub calls: Vec<WantedCall>,
}

/// At most this much text is taken from one answer, bytes.
const MAX_TEXT: usize = 256 * 1024;
/// At most so many calls are taken from one answer.
const MAX_CALLS: usize = 16;

/// A configured model.
#[derive(Clone)]
pub struct ChatModel {
    client: Client<OpenAIConfig>,
    base: String,
    model: String,
    timeout: Duration,
    /// At most so many turns with tool calls for one goal.
    pub max_turns: u32,
    /// Let the planner step in while the model is away.
    pub fall_back_to_planner: bool,
}

/// The API's base for a user's URL: no trailing `/chat/completions`, and `/v1` where there is no
/// path.
///
/// # Errors
/// [`ModelError::Config`] where it is no http(s) URL.
pub fn chat_base(url: &str) -> Result<String, ModelError> {
    let trimmed = url
        .trim()
        .trim_end_matches('/')
        .trim_end_matches("/chat/completions");
    let rest = trimmed
        .strip_prefix("http://")
        .or(trimmed.strip_prefix("https://"))
        .filter(|rest| !rest.is_empty())
        .ok_or_else(|| ModelError::Config(format!("`{url}` is not an http(s) URL")))?;
    Ok(if rest.contains('/') {
        trimmed.to_owned()
    } else {
        format!("{trimmed}/v1")
    })
}

impl ChatModel {
    /// A client for the configured model. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ModelError::Config`].
    pub fn new(config: &ModelConfig) -> Result<Self, ModelError> {
        let base = chat_base(&config.url)?;
        // A second installation fails and changes nothing, which is what is wanted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| ModelError::Config(error.to_string()))?;
        let key = config.api_key.as_ref().map_or("", |key| key.as_str());
        let api = OpenAIConfig::new().with_api_base(&base).with_api_key(key);
        Ok(Self {
            client: Client::with_config(api).with_http_client(http),
            base,
            model: config.model.clone(),
            timeout: config.timeout,
            max_turns: config.max_turns,
            fall_back_to_planner: config.fall_back_to_planner,
        })
    }

    /// The model's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.model
    }

    /// The API's base URL.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Asks for the next turn of a conversation; `on_text` gets the text as it is written.
    ///
    /// # Errors
    /// [`ModelError`].
    pub async fn turn(
        &self,
        messages: &[Value],
        tools: &[ToolInfo],
        on_text: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Turn, ModelError> {
        let mut request = json!({"model": self.model, "messages": messages, "stream": true});
        if !tools.is_empty() {
            request["tools"] = tools.iter().map(function).collect();
        }
        match tokio::time::timeout(self.timeout, self.stream(request, on_text)).await {
            Ok(turn) => turn,
            Err(_) => Err(ModelError::Timeout {
                url: self.base.clone(),
                seconds: self.timeout.as_secs(),
            }),
        }
    }

    async fn stream(
        &self,
        request: Value,
        on_text: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Turn, ModelError> {
        let mut stream = self
            .client
            .chat()
            .create_stream_byot::<Value, Value>(request.clone())
            .await
            .map_err(|error| self.error(error))?;
        let mut assembly = Assembly::default();
        while let Some(chunk) = stream.next().await {
            match chunk {
                Ok(chunk) => assembly.add(&chunk, on_text),
                Err(error) => return Err(self.error(error)),
            }
        }
        if assembly.chunks > 0 {
            return Ok(assembly.finish());
        }
        // A server that does not stream answers with one JSON document: ask for it as such.
        let mut whole = request;
        whole["stream"] = json!(false);
        let answer: Value = self
            .client
            .chat()
            .create_byot(whole)
            .await
            .map_err(|error| self.error(error))?;
        assembly.add_message(&answer, on_text);
        if assembly.chunks == 0 {
            return Err(ModelError::Malformed {
                url: self.base.clone(),
                cause: "it has no `choices`".into(),
            });
        }
        Ok(assembly.finish())
    }

    fn error(&self, error: OpenAIError) -> ModelError {
        let url = self.base.clone();
        match error {
            OpenAIError::Reqwest(error) if error.is_connect() => ModelError::Unreachable {
                url,
                cause: root_cause(&error),
            },
            OpenAIError::Reqwest(error) if error.is_timeout() => ModelError::Timeout {
                url,
                seconds: self.timeout.as_secs(),
            },
            OpenAIError::Reqwest(error) => ModelError::Unreachable {
                url,
                cause: root_cause(&error),
            },
            OpenAIError::ApiError(error) => ModelError::Refused {
                url,
                cause: error.to_string(),
            },
            OpenAIError::InvalidArgument(cause) => ModelError::Config(cause),
            other => ModelError::Malformed {
                url,
                cause: other.to_string(),
            },
        }
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn function(tool: &ToolInfo) -> Value {
    let parameters = if tool.parameters.is_object() {
        tool.parameters.clone()
    } else {
        json!({"type": "object", "properties": {}})
    };
    json!({"type": "function", "function": {
        "name": tool.name, "description": tool.description, "parameters": parameters,
    }})
}

/// Puts an answer together from its chunks.
#[derive(Default)]
struct Assembly {
    text: String,
    calls: BTreeMap<u64, WantedCall>,
    chunks: usize,
}

impl Assembly {
    fn add(&mut self, chunk: &Value, on_text: &mut (dyn FnMut(&str) + Send)) {
        let Some(choice) = chunk.pointer("/choices/0") else {
            return;
        };
        // Some servers send whole messages even when asked to stream.
        if choice.get("delta").is_none() && choice.get("message").is_some() {
            return self.add_message(chunk, on_text);
        }
        self.chunks += 1;
        let Some(delta) = choice.get("delta") else {
            return;
        };
        self.add_text(delta.get("content"), on_text);
        self.add_calls(delta.get("tool_calls"));
    }

    fn add_message(&mut self, answer: &Value, on_text: &mut (dyn FnMut(&str) + Send)) {
        let Some(message) = answer.pointer("/choices/0/message") else {
            return;
        };
        self.chunks += 1;
        self.add_text(message.get("content"), on_text);
        self.add_calls(message.get("tool_calls"));
    }

    fn add_text(&mut self, content: Option<&Value>, on_text: &mut (dyn FnMut(&str) + Send)) {
        let Some(text) = content
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
        else {
            return;
        };
        if self.text.len() + text.len() <= MAX_TEXT {
            self.text.push_str(text);
            on_text(text);
        }
    }

    fn add_calls(&mut self, calls: Option<&Value>) {
        for (position, part) in calls
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate()
        {
            let index = part
                .get("index")
                .and_then(Value::as_u64)
                .unwrap_or(position as u64);
            if !self.calls.contains_key(&index) && self.calls.len() >= MAX_CALLS {
                continue;
            }
            let call = self.calls.entry(index).or_default();
            if let Some(id) = part
                .get("id")
                .and_then(Value::as_str)
                .filter(|id| !id.is_empty())
            {
                id.clone_into(&mut call.id);
            }
            if let Some(name) = part.pointer("/function/name").and_then(Value::as_str) {
                call.name.push_str(name);
            }
            match part.pointer("/function/arguments") {
                Some(Value::String(arguments))
                    if call.arguments.len() + arguments.len() <= MAX_TEXT =>
                {
                    call.arguments.push_str(arguments);
                }
                // Some servers send the parameters as an object.
                Some(object @ Value::Object(_)) => call.arguments = object.to_string(),
                _ => {}
            }
        }
    }

    fn finish(self) -> Turn {
        let calls = self
            .calls
            .into_iter()
            .filter(|(_, call)| !call.name.is_empty())
            .map(|(index, mut call)| {
                if call.id.is_empty() {
                    call.id = format!("call_{index}");
                }
                call
            })
            .collect();
        Turn {
            text: self.text,
            calls,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_as_users_write_them() {
        for url in [
            "http://127.0.0.1:11434",
            "http://127.0.0.1:11434/",
            "http://127.0.0.1:11434/v1",
            "http://127.0.0.1:11434/v1/chat/completions",
        ] {
            assert_eq!(
                chat_base(url).unwrap(),
                "http://127.0.0.1:11434/v1",
                "{url}"
            );
        }
        assert_eq!(
            chat_base("https://h/openai/v1/").unwrap(),
            "https://h/openai/v1"
        );
        assert!(chat_base("localhost:80").is_err() && chat_base("http://").is_err());
    }

    #[test]
    fn a_call_is_put_together_from_its_parts() {
        let mut assembly = Assembly::default();
        let mut seen = String::new();
        let mut on_text = |text: &str| seen.push_str(text);
        for delta in [
            json!({"content": "Let me "}),
            json!({"content": "look."}),
            json!({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "calc", "arguments": "{\"a\""}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]}),
        ] {
            assembly.add(&json!({"choices": [{"delta": delta}]}), &mut on_text);
        }
        let turn = assembly.finish();
        assert_eq!(turn.text, "Let me look.");
        assert_eq!(seen, "Let me look.");
        assert_eq!(
            turn.calls,
            [WantedCall {
                id: "c1".into(),
                name: "calc".into(),
                arguments: "{\"a\": 1}".into()
            }]
        );
    }
}
