//! The checks that ask the running node.

use std::time::Duration;

use pagi_api::{
    membership::Membership,
    swarm::{MoView, NodeInfo, PlaybookCheck},
    tools::Plugin,
};
use tokio::{net::TcpStream, time::timeout};

use super::Check;
use crate::{cli::CliError, client::Client, render};

/// The longest wait for one answer; a node that takes longer is not well.
const ANSWER: Duration = Duration::from_secs(20);
/// The longest wait for a model's server to take a connection.
const CONNECT: Duration = Duration::from_secs(3);

/// The checks of the node behind `client`.
pub(super) async fn checks(client: &Client) -> Vec<Check> {
    let node: NodeInfo = match get(client, "/status").await {
        Ok(node) => node,
        Err(error) => return vec![Check::fail("node", error.cause, error.next)],
    };
    let up = render::seconds(node.uptime_s);
    let mut checks = vec![
        Check::ok("node", format!("answers at {}, up {up}", client.place())),
        version(&node.version, env!("CARGO_PKG_VERSION")),
        twins(node.twins),
        halted(node.stopped.as_deref()),
        listening(&node.listen),
        peers(node.peers, !node.bootstrap.is_empty()),
    ];
    checks.push(match get(client, "/swarm/members").await {
        Ok(membership) => swarm(&membership),
        Err(error) => Check::fail("swarm", error.cause, error.next),
    });
    checks.push(match get(client, "/mo").await {
        Ok(view) => mo(&view),
        Err(error) => Check::fail("MO", error.cause, error.next),
    });
    checks.push(match get(client, "/playbook/verify").await {
        Ok(check) => playbook(&check),
        Err(error) => Check::fail("playbook", error.cause, error.next),
    });
    checks.push(match get::<Vec<Plugin>>(client, "/plugins").await {
        Ok(found) => plugins(&found),
        Err(error) => Check::fail("plugins", error.cause, error.next),
    });
    checks.push(inference(&node.inference).await);
    checks
}

async fn get<T: serde::de::DeserializeOwned>(client: &Client, path: &str) -> Result<T, CliError> {
    timeout(ANSWER, client.get(path)).await.unwrap_or_else(|_| {
        let cause = format!("{path} gave no answer within {} s", ANSWER.as_secs());
        Err(CliError::new(
            cause,
            "look at the node's log; restart it if it hangs",
        ))
    })
}

fn version(node: &str, own: &str) -> Check {
    if node == own {
        Check::ok("version", own)
    } else {
        let detail = format!("the node is {node}, this program is {own}");
        Check::warn("version", detail, "restart the node with this program")
    }
}

fn twins(count: usize) -> Check {
    match count {
        0 => Check::warn("twins", "there is no twin yet", "pagi twin create"),
        count => Check::ok("twins", count.to_string()),
    }
}

fn halted(stopped: Option<&str>) -> Check {
    match stopped {
        None => Check::ok("kill switch", "not pulled for this node"),
        Some(why) => Check::warn(
            "kill switch",
            format!("{why}: twins take no goals and call no tools"),
            "pagi resume, or pagi resume --override for this node alone",
        ),
    }
}

fn listening(addrs: &[String]) -> Check {
    const NAME: &str = "listening";
    if addrs.is_empty() {
        return Check::warn(
            NAME,
            "no other node can dial this one",
            "pagi run --listen /ip4/0.0.0.0/tcp/4001",
        );
    }
    let loopback = |addr: &String| addr.starts_with("/ip4/127.") || addr.starts_with("/ip6/::1/");
    let reach = if addrs.iter().all(loopback) {
        ", for this machine only"
    } else {
        ""
    };
    Check::ok(
        NAME,
        format!("{}{reach}", render::count(addrs.len(), "address")),
    )
}

fn peers(count: usize, bootstrap: bool) -> Check {
    match (count, bootstrap) {
        (0, true) => Check::fail(
            "peers",
            "none, though there are bootstrap addresses",
            "check that those nodes run and that the addresses, with /p2p/PEERID, are right",
        ),
        (0, false) => Check::ok(
            "peers",
            "none; there is no bootstrap address, so the node waits to be found",
        ),
        (count, _) => Check::ok("peers", format!("{count} connected")),
    }
}

/// Whether the node is in the swarm it belongs to.
fn swarm(membership: &Membership) -> Check {
    const NAME: &str = "swarm";
    let name = &membership.name;
    if let Some(waiting) = &membership.waiting {
        let cause = format!("not in {name} yet: {}", waiting.reason);
        let next = waiting.next.clone();
        return match waiting.state.as_str() {
            "unreached" | "judged" => Check::warn(NAME, cause, next),
            _ => Check::fail(NAME, cause, next),
        };
    }
    match (membership.standing.as_str(), membership.refused_by.first()) {
        (_, Some(refused)) => Check::fail(
            NAME,
            format!(
                "{} does not let this node in: {}",
                refused.did, refused.reason
            ),
            "ask a founder for an invitation and `pagi swarm join` with it",
        ),
        (standing, None) => Check::ok(NAME, format!("{name}, {standing}")),
    }
}

fn mo(view: &MoView) -> Check {
    match &view.mo {
        Some(_) if view.is_me => Check::ok("MO", format!("this node, term {}", view.term)),
        Some(did) => Check::ok("MO", format!("{did}, term {}", view.term)),
        None => Check::warn(
            "MO",
            format!("none is known in term {}", view.term),
            "an election takes a few seconds; if it lasts, see `pagi mo status` and `pagi peers`",
        ),
    }
}

fn playbook(check: &PlaybookCheck) -> Check {
    if check.valid {
        return Check::ok(
            "playbook",
            format!(
                "{}, every link holds",
                render::count(check.revisions, "revision")
            ),
        );
    }
    let problem = check.problem.as_deref().unwrap_or("a link does not hold");
    Check::fail(
        "playbook",
        problem,
        "stop the node and restore its data directory; peers will send what is missing",
    )
}

fn plugins(found: &[Plugin]) -> Check {
    let broken: Vec<&str> = found
        .iter()
        .filter(|plugin| plugin.error.is_some())
        .map(|plugin| plugin.name.as_str())
        .collect();
    if broken.is_empty() {
        Check::ok("plugins", format!("{} loaded", found.len()))
    } else {
        let detail = format!("not loaded: {}", broken.join(", "));
        Check::warn("plugins", detail, "`pagi plugin list` shows why")
    }
}

async fn inference(text: &str) -> Check {
    const NAME: &str = "inference";
    let Some((host, port)) = server(text) else {
        return Check::ok(NAME, text);
    };
    let connected = timeout(CONNECT, TcpStream::connect((host.as_str(), port))).await;
    match connected {
        Ok(Ok(_)) => Check::ok(NAME, format!("{text} is reachable")),
        Ok(Err(error)) => Check::warn(
            NAME,
            format!("{text} is not reachable: {error}"),
            "start the model's server or correct its URL; until then the built-in planner answers",
        ),
        Err(_) => Check::warn(
            NAME,
            format!(
                "{text} does not take connections within {} s",
                CONNECT.as_secs()
            ),
            "start the model's server or correct its URL; until then the built-in planner answers",
        ),
    }
}

/// Host and port of the first URL in `text`.
fn server(text: &str) -> Option<(String, u16)> {
    let is_edge = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | '`');
    let url = text.split(is_edge).find(|word| word.contains("://"))?;
    let uri: hyper::Uri = url.parse().ok()?;
    let port = uri.port_u16().or(match uri.scheme_str()? {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    })?;
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    Some((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::{super::Verdict, *};

    #[test]
    fn no_peers_is_a_failure_only_where_some_were_configured() {
        assert_eq!(peers(0, true).status, Verdict::Fail);
        assert_eq!(peers(0, false).status, Verdict::Ok);
        assert_eq!(peers(2, true).status, Verdict::Ok);
    }

    #[test]
    fn the_model_server_is_read_from_the_text() {
        let host = |text: &str| server(text).map(|(host, port)| format!("{host} {port}"));
        assert_eq!(host("planner"), None);
        assert_eq!(
            host("llama at http://127.0.0.1:8080/v1").unwrap(),
            "127.0.0.1 8080"
        );
        assert_eq!(
            host("m (https://api.example.org/v1)").unwrap(),
            "api.example.org 443"
        );
        assert_eq!(host("m, http://[::1]:1/").unwrap(), "::1 1");
    }

    #[tokio::test]
    async fn a_model_server_that_is_down_is_told() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("m at http://{}/v1", listener.local_addr().unwrap());
        assert_eq!(inference(&url).await.status, Verdict::Ok);
        drop(listener);
        let down = inference(&url).await;
        assert_eq!(down.status, Verdict::Warn);
        assert!(down.fix.is_some());
        assert_eq!(inference("planner").await.status, Verdict::Ok);
    }

    #[test]
    fn other_versions_and_broken_plugins_and_playbooks_are_told() {
        assert_eq!(version("0.1.0", "0.1.0").status, Verdict::Ok);
        assert_eq!(version("0.1.0", "0.2.0").status, Verdict::Warn);
        let mut check = PlaybookCheck {
            valid: true,
            revisions: 2,
            head: "h".into(),
            problem: None,
        };
        assert_eq!(playbook(&check).status, Verdict::Ok);
        check.valid = false;
        check.problem = Some("bad signature".into());
        assert!(playbook(&check).detail.contains("bad signature"));
        let broken = Plugin {
            installed: false,
            name: "p".into(),
            version: String::new(),
            tools: Vec::new(),
            path: "/p".into(),
            error: Some("no manifest".into()),
        };
        assert_eq!(plugins(&[broken]).status, Verdict::Warn);
        assert_eq!(twins(0).status, Verdict::Warn);
        assert_eq!(listening(&[]).status, Verdict::Warn);
    }
}
