//! One row of the table: how a route is served and how it is documented.

use axum::{
    handler::Handler,
    http::Method,
    routing::{self, MethodRouter},
};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

use super::Api;

/// Writes a type's JSON Schema, or a reference to it.
pub(crate) type Schema = fn(&mut SchemaGenerator) -> Value;

/// What a route takes in its body.
pub(crate) struct Takes {
    pub(crate) schema: Schema,
    pub(crate) required: bool,
    /// A body that works, JSON.
    pub(crate) example: &'static str,
    /// What it may come as.
    pub(crate) media_types: &'static [&'static str],
}

/// What a route answers, in one media type.
pub(crate) struct Gives {
    pub(crate) media_type: &'static str,
    pub(crate) schema: Schema,
    pub(crate) description: &'static str,
}

/// One route.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) handler: MethodRouter<Api>,
    pub(crate) tag: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) detail: &'static str,
    /// Whether it needs no token.
    pub(crate) open: bool,
    pub(crate) query: Option<Schema>,
    pub(crate) takes: Option<Takes>,
    pub(crate) status: u16,
    pub(crate) gives: Vec<Gives>,
}

impl Route {
    fn new(method: Method, path: &'static str, handler: MethodRouter<Api>) -> Self {
        Self {
            method,
            path,
            handler,
            tag: "",
            summary: "",
            detail: "",
            open: false,
            query: None,
            takes: None,
            status: 200,
            gives: Vec::new(),
        }
    }

    /// `GET`, and `HEAD` with it.
    pub(crate) fn get<H: Handler<T, Api>, T: 'static>(path: &'static str, handler: H) -> Self {
        Self::new(Method::GET, path, routing::get(handler))
    }

    /// `POST`.
    pub(crate) fn post<H: Handler<T, Api>, T: 'static>(path: &'static str, handler: H) -> Self {
        Self::new(Method::POST, path, routing::post(handler))
    }

    /// `PATCH`.
    pub(crate) fn patch<H: Handler<T, Api>, T: 'static>(path: &'static str, handler: H) -> Self {
        Self::new(Method::PATCH, path, routing::patch(handler))
    }

    /// `DELETE`.
    pub(crate) fn delete<H: Handler<T, Api>, T: 'static>(path: &'static str, handler: H) -> Self {
        Self::new(Method::DELETE, path, routing::delete(handler))
    }

    /// Its group and what it does, in a few words.
    pub(crate) fn about(mut self, tag: &'static str, summary: &'static str) -> Self {
        (self.tag, self.summary) = (tag, summary);
        self
    }

    /// What else there is to know.
    pub(crate) fn detail(mut self, detail: &'static str) -> Self {
        self.detail = detail;
        self
    }

    /// It needs no token.
    pub(crate) fn open(mut self) -> Self {
        self.open = true;
        self
    }

    /// It reads the fields of `T` from the query string.
    pub(crate) fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(|generator| generator.root_schema_for::<T>().to_value());
        self
    }

    /// It takes a body of type `T`, such as `example`.
    pub(crate) fn takes<T: JsonSchema>(mut self, example: &'static str) -> Self {
        self.takes = Some(Takes {
            schema: schema_of::<T>,
            required: true,
            example,
            media_types: &["application/json"],
        });
        self
    }

    /// The body comes as one of these media types.
    pub(crate) fn takes_as(mut self, media_types: &'static [&'static str]) -> Self {
        if let Some(takes) = &mut self.takes {
            takes.media_types = media_types;
        }
        self
    }

    /// The body may be left out.
    pub(crate) fn or_nothing(mut self) -> Self {
        if let Some(takes) = &mut self.takes {
            takes.required = false;
        }
        self
    }

    /// It answers 201 instead of 200.
    pub(crate) fn creates(mut self) -> Self {
        self.status = 201;
        self
    }

    /// It answers 202 instead of 200.
    pub(crate) fn accepts(mut self) -> Self {
        self.status = 202;
        self
    }

    /// It answers JSON of type `T`.
    pub(crate) fn gives<T: JsonSchema>(self) -> Self {
        self.gives_as("application/json", schema_of::<T>, "Done.")
    }

    /// It answers something else, described in words too.
    pub(crate) fn gives_as(
        mut self,
        media_type: &'static str,
        schema: Schema,
        description: &'static str,
    ) -> Self {
        self.gives.push(Gives {
            media_type,
            schema,
            description,
        });
        self
    }
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}
