//! Work in flight: what goes on after its client has left, and how all of it ends.

use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};
use pagi_api::ApiError;
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{failure::Failure, routes::Api};

/// The tasks of one control server: connections, requests and goals.
#[derive(Clone, Debug, Default)]
pub(crate) struct Work {
    tasks: TaskTracker,
    closing: CancellationToken,
    aborting: CancellationToken,
}

impl Work {
    /// Runs `task` to its end, or until the grace of a shutdown is over: then it gives `None`.
    pub(crate) fn spawn<F>(&self, task: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks
            .spawn(self.aborting.clone().run_until_cancelled_owned(task))
    }

    /// Resolves when the server begins to close: streams end and nothing new is accepted.
    pub(crate) fn closing(&self) -> impl Future<Output = ()> + Send + 'static {
        self.closing.clone().cancelled_owned()
    }

    /// Ends the work: at once what waits for news, within `grace` the rest.
    pub(crate) async fn close(&self, grace: Duration) {
        self.closing.cancel();
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                tasks = self.tasks.len(),
                "requests did not end in time; dropping them"
            );
            self.aborting.cancel();
            // Dropping takes effect at a task's next await; one that never awaits is left behind.
            let _ = tokio::time::timeout(Duration::from_secs(1), self.tasks.wait()).await;
        }
    }

    /// Ends the work without waiting.
    pub(crate) fn abort(&self) {
        self.closing.cancel();
        self.aborting.cancel();
    }
}

/// Tells [`run_to_the_end`] that a request is under way: the time for its answer begins anew.
#[derive(Clone, Default)]
pub(crate) struct UnderWay(Arc<Notify>);

impl UnderWay {
    pub(crate) fn tell(&self) {
        self.0.notify_one();
    }
}

/// Lets a request that may change something run to its end even when its client disconnects (hyper
/// drops a request's future then), and bounds how long an answer is waited for.
pub(crate) async fn run_to_the_end(
    State(api): State<Api>,
    mut request: Request,
    next: Next,
) -> Response {
    let under_way = UnderWay::default();
    request.extensions_mut().insert(under_way.clone());
    let reads = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    let answer = async {
        if reads {
            return next.run(request).await;
        }
        match api.work.spawn(next.run(request)).await {
            Ok(Some(response)) => response,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Ok(None) | Err(_) => {
                Failure::from(ApiError::Unavailable("the node is stopping".into())).into_response()
            }
        }
    };
    tokio::pin!(answer);
    loop {
        tokio::select! {
            biased;
            response = &mut answer => return response,
            () = under_way.0.notified() => {}
            () = tokio::time::sleep(api.limits.answer) => break,
        }
    }
    Failure::from(ApiError::Timeout(format!(
        "there was no answer within {} s{}",
        api.limits.answer.as_secs(),
        if reads {
            ""
        } else {
            "; what the request began goes on"
        }
    )))
    .into_response()
}
