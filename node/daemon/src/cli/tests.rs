//! The command line as it is parsed.

use clap::CommandFactory;

use super::*;

fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("pagi").chain(args.iter().copied()))
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_of_the_manual_parses() {
    for line in [
        "demo",
        "demo --nodes 9 goal --json",
        "run --listen /ip4/127.0.0.1/tcp/0 --listen /ip6/::1/tcp/0 --bootstrap /ip4/127.0.0.1/tcp/1",
        "run --control 127.0.0.1:0 --no-mdns --swarm s --compat-ports",
        "run --no-control-tcp",
        "up --name Ada --no-mdns",
        "status",
        "--json status",
        "peers --json",
        "peers network",
        "peers ban 12D3KooW --for 1h",
        "peers unban 12D3KooW",
        "bootstrap --listen /ip4/127.0.0.1/tcp/0 --announce /ip4/192.0.2.1/tcp/4001 --no-mdns",
        "run --relay-server --no-relay --upnp --announce /ip4/192.0.2.1/tcp/4001",
        "up --join pagi://join/x",
        "swarm create crew --invited --psk --max-members 9",
        "swarm invite --expires 7d --uses 2",
        "swarm invite",
        "swarm join pagi://join/x",
        "swarm revoke did:key:z bafy",
        "swarm show",
        "swarm list",
        "swarm leave --forget",
        "doctor --data-dir /tmp/x",
        "token",
        "twin create --status active --note hi --name Ada rank=3",
        "twin list",
        "twin show",
        "twin show abc",
        "twin did abc",
        "did did:key:z",
        "did did:web:example.org --document did.json",
        "twin state abc status=paused note=null",
        "ask --twin abc what is the load",
        "ask goal --json -v",
        "plan goal",
        "memory add --role system remember this",
        "memory list --limit 5 --twin a",
        "memory search some words",
        "emotion get",
        "emotion set calm 0.4",
        "act notify title body",
        "act write-file a.txt content",
        "act write-file a.txt --from -",
        "act call-tool calculator expression=1+1",
        "events --follow --type goal_received --twin a --source executive --after 3",
        "events --limit 5",
        "audit --after 1 --limit 2",
        "tool list --twin a",
        "tool call calculator expression=1+1",
        "tool call calculator {}",
        "tool register --file -",
        "tool register --name n --url http://127.0.0.1:1 --parameters {} --read-only",
        "tool allow calculator --deny --twin a",
        "plugin list",
        "plugin install plugins/text_stats",
        "plugin remove text_stats",
        "playbook show --toml",
        "playbook log",
        "playbook verify",
        "playbook export",
        "playbook export file --force",
        "playbook diff",
        "playbook diff bafya",
        "playbook diff bafya bafyb",
        "playbook import file --twin a --critique why",
        "playbook import -",
        "msg send did:key:z hello there --twin a",
        "msg send did:key:z --type a/1.0/b --body {} --url http://127.0.0.1:1 --thread t",
        "msg inbox --unread --limit 3 --mark-read --twin a",
        "msg send did:key:z hello --wait 5",
        "msg send did:key:z hello --attach bafya --attach bafyb",
        "msg ask did:key:z what is this --wait 5 --twin a",
        "msg reply 3 thank you --twin a",
        "msg watch --twin a",
        "msg block did:key:z --undo",
        "msg allow did:key:z",
        "msg contacts",
        "cred list",
        "cred add - --publish",
        "cred revoke bafy",
        "cred explain did:key:z",
        "key show",
        "key encrypt --new-passphrase-file f --passphrase-file g",
        "key decrypt",
        "key export backup.json",
        "key import backup.json --force",
        "key rotate --twin a",
        "stop --twin a --reason why",
        "resume",
        "resume --override",
        "run --keep-mail --passphrase-file f",
        "cred issue did:key:z 0.5 --contributions [1] --days 3 --twin a",
        "cred issue did:key:z -1",
        "cred verify -",
        "artifact list",
        "artifact show bafy",
        "mo status",
        "mo step-down",
        "swarm task what is the tide",
        "swarm task --need a --need b --deadline 90s --summary x --detach --twin a goal",
        "swarm task --cancel 1",
        "swarm task --watch 1 --json",
        "swarm tasks",
        "ipfs put -",
        "ipfs get bafy",
        "ipfs get bafy/a -o x --force --timeout 3 --max-bytes 9",
        "ipfs add -r a b --no-pin --hidden",
        "ipfs cat bafy/a/b",
        "ipfs ls bafy",
        "ipfs pin add bafy --name x",
        "ipfs pin rm bafy",
        "ipfs pin ls --all",
        "ipfs gc",
        "ipfs export bafy -o x.car",
        "ipfs import -",
        "completions bash",
    ] {
        let args: Vec<&str> = line.split(' ').collect();
        if let Err(error) = parse(&args) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn bad_usage_is_exit_code_2_and_help_is_0() {
    for line in [
        "",
        "nonsense",
        "demo --nodes 0",
        "demo --nodes 10",
        "demo --nodes x",
        "ask",
        "emotion set calm 1.1",
        "emotion set calm NaN",
        "events --type nonsense",
        "events --follow --limit 3",
        "twin state abc",
        "twin state abc novalue",
        "twin create =x",
        "tool register",
        "tool register --name n",
        "tool register --file f --name n",
        "tool register --name n --url u --parameters {",
        "memory add --role robot x",
        "act write-file a.txt",
        "act write-file a.txt content --from f",
        "playbook export --force",
        "plugin install",
        "playbook import",
        "msg send",
        "msg send did:key:z",
        "msg send did:key:z text --body {}",
        "msg send did:key:z --body {",
        "cred issue did:key:z",
        "cred issue did:key:z high",
        "cred verify",
        "run --no-control-tcp --compat-ports",
        "swarm task",
        "swarm task --deadline 25h goal",
        "swarm task --cancel 1 goal",
        "swarm task --cancel 1 --watch 1",
        "swarm",
        "swarm create",
        "swarm create x --founder nobody",
        "swarm invite --expires soon",
        "swarm invite --uses 0",
        "swarm join",
        "swarm revoke",
        "up --join x --swarm y",
        "peers ban",
        "status --quiet --verbose",
        "completions klingon",
    ] {
        let args: Vec<&str> = line.split(' ').filter(|arg| !arg.is_empty()).collect();
        let error = parse(&args).map(|cli| cli.command).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}: {error}");
    }
    for line in ["--help", "--version", "ask --help"] {
        let args: Vec<&str> = line.split(' ').collect();
        assert_eq!(
            parse(&args).map(|cli| cli.command).unwrap_err().exit_code(),
            0,
            "{line}"
        );
    }
}

#[test]
fn global_options_count_before_and_after_the_command() {
    for line in [
        "--json --data-dir d -vv status",
        "status -v --json --data-dir d -v",
    ] {
        let args: Vec<&str> = line.split(' ').collect();
        let cli = parse(&args).unwrap();
        assert!(cli.global.json, "{line}");
        assert_eq!(cli.global.data_dir.as_deref(), Some("d".as_ref()), "{line}");
        assert_eq!(cli.global.verbose, 2, "{line}");
    }
}

#[test]
fn up_is_run_with_a_name_and_control_is_handed_over() {
    let cli = parse(&[
        "up",
        "--name",
        "Ada",
        "--control",
        "127.0.0.1:0",
        "--swarm",
        "s",
    ])
    .unwrap();
    let ctx = Context::new(cli.global).unwrap();
    let Command::Up(args) = cli.command else {
        panic!("not up")
    };
    let args = args.into_run().checked(&ctx).unwrap();
    assert_eq!(args.twin_name.as_deref(), Some("Ada"));
    assert_eq!(args.control.as_deref(), Some("127.0.0.1:0"));
    assert_eq!(args.swarm.as_deref(), Some("s"));
    let both = RunArgs {
        no_control_tcp: true,
        ..RunArgs::default()
    };
    assert_eq!(both.checked(&ctx).unwrap_err().code, 2);
}

#[test]
fn the_token_comes_from_the_option_or_the_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    let args = GlobalArgs {
        data_dir: Some(dir.path().into()),
        control: Some("127.0.0.1:1".into()),
        ..GlobalArgs::default()
    };
    let ctx = Context::new(args.clone()).unwrap();
    assert_eq!(ctx.data_dir, dir.path());
    assert!(ctx.client().unwrap_err().next.contains("--token"));
    std::fs::write(dir.path().join("token"), "secret\n").unwrap();
    assert_eq!(ctx.token().unwrap(), "secret");
    assert!(ctx.client().is_ok());
    let ctx = Context::new(GlobalArgs {
        token: Some("other".into()),
        ..args
    })
    .unwrap();
    assert_eq!(ctx.token().unwrap(), "other");
}

#[test]
fn an_empty_option_is_as_good_as_none() {
    let args = GlobalArgs {
        data_dir: Some("d".into()),
        control: Some(String::new()),
        token: Some(String::new()),
        ..GlobalArgs::default()
    };
    let ctx = Context::new(args).unwrap();
    assert!(ctx.data_dir.is_absolute());
    assert_eq!((ctx.control, ctx.token), (None, None));
}

#[tokio::test]
async fn a_command_without_a_node_says_how_to_start_one() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().to_str().unwrap();
    for line in [
        "status",
        "peers",
        "twin list",
        "ask goal",
        "events --follow",
        "ipfs gc",
    ] {
        let args = line
            .split(' ')
            .chain(["--data-dir", data_dir])
            .collect::<Vec<_>>();
        let mut cli = parse(&args).unwrap();
        cli.global.control = None;
        let ctx = Context::new(cli.global).unwrap();
        let error = dispatch(cli.command, &ctx).await.unwrap_err();
        let error = error.downcast_ref::<CliError>().unwrap();
        assert!(
            error.cause.contains("the node is not running"),
            "{line}: {error:?}"
        );
        assert!(error.next.contains("pagi run"), "{line}: {error:?}");
    }
}

#[test]
fn the_manual_asks_for_no_command_that_is_not_there() {
    // What messages tell the user to type must be a command.
    let root = Cli::command();
    let known = |path: &[&str]| {
        let mut at = &root;
        path.iter().all(|name| match at.find_subcommand(name) {
            Some(found) => {
                at = found;
                true
            }
            None => false,
        })
    };
    for path in [
        &["run"][..],
        &["up"],
        &["doctor"],
        &["status"],
        &["audit"],
        &["token"],
        &["events"],
        &["peers"],
        &["twin", "create"],
        &["twin", "list"],
        &["tool", "list"],
        &["tool", "allow"],
        &["artifact", "list"],
        &["playbook", "show"],
        &["plugin", "list"],
        &["mo", "status"],
        &["swarm", "task"],
        &["swarm", "tasks"],
    ] {
        assert!(known(path), "{path:?}");
    }
}
