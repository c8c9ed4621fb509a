//! Plugins that are installed and removed, and playbooks that are compared and imported.

use std::path::Path;

use serde_json::{Value, json};

use crate::node::{Home, Node};

fn text_stats() -> String {
    let plugins = concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins/text_stats");
    let found = std::fs::canonicalize(plugins).unwrap();
    found.to_str().unwrap().to_owned()
}

fn names(plugins: &Value) -> Vec<&str> {
    let plugins = plugins.as_array().unwrap().iter();
    plugins
        .map(|plugin| plugin["name"].as_str().unwrap())
        .collect()
}

async fn audited(node: &Node, action: &str) -> usize {
    let audit = node.get("/audit?limit=1000").await;
    let records = audit.as_array().unwrap().iter();
    records.filter(|record| record["action"] == action).count()
}

#[tokio::test]
async fn a_plugin_is_installed_used_and_removed_and_each_outlives_a_restart() {
    let home = Home::new();
    let node = home.start().await;
    let twin_id = node.twin().await;
    let call = async |node: &Node, twin_id: Option<&str>| {
        let body = json!({"twin_id": twin_id, "parameters": {"text": "one two\nthree"}});
        node.http.post("/execute/text_stats", &body).await
    };
    assert_eq!(call(&node, None).await.status, 404);

    let plugin = home.json(&["plugin", "install", &text_stats()]).await;
    assert_eq!(
        (&plugin["name"], &plugin["installed"]),
        (&json!("text_stats"), &json!(true))
    );
    let copy = home.data().join("plugins/text_stats");
    assert_eq!(plugin["path"], copy.to_str().unwrap());
    // The user may call it; a twin may not until it is told to.
    assert_eq!(call(&node, None).await.ok()["result"]["words"], 3);
    assert_eq!(call(&node, Some(&twin_id)).await.status, 403);
    home.json(&["tool", "allow", "text_stats", "--twin", &twin_id])
        .await;
    assert_eq!(call(&node, Some(&twin_id)).await.status, 200);
    let again = home
        .pagi(&["plugin", "install", &text_stats()])
        .await
        .complaint(1);
    assert!(again.contains("already"), "{again}");

    node.kill().await;
    let node = home.start().await;
    assert_eq!(names(&home.json(&["plugin", "list"]).await), ["text_stats"]);
    assert_eq!(call(&node, Some(&twin_id)).await.status, 200);

    let removed = home.json(&["plugin", "remove", "text_stats"]).await;
    assert_eq!(removed["name"], "text_stats");
    assert_eq!(call(&node, None).await.status, 404);
    assert!(!copy.exists());
    let gone = home
        .pagi(&["plugin", "remove", "text_stats"])
        .await
        .complaint(1);
    assert!(gone.contains("pagi plugin list"), "{gone}");
    node.kill().await;
    let node = home.start().await;
    assert_eq!(home.json(&["plugin", "list"]).await, json!([]));
    assert_eq!(call(&node, None).await.status, 404);
    assert_eq!(audited(&node, "plugin_installed").await, 1);
    assert_eq!(audited(&node, "plugin_removed").await, 1);

    // Installed once more, it is not allowed to the twin of itself.
    home.json(&["plugin", "install", &text_stats()]).await;
    assert_eq!(call(&node, Some(&twin_id)).await.status, 403);
}

#[tokio::test]
async fn what_is_no_plugin_is_refused_and_leaves_nothing() {
    let home = Home::new();
    let node = home
        .launch()
        .env("PLUGIN_DIR", &parent(&text_stats()))
        .env("AUTO_DISCOVER_PLUGINS", "true")
        .start()
        .await;
    let folder = home.root().join("candidate");
    let manifest = folder.join("manifest.toml");
    std::fs::create_dir(&folder).unwrap();
    let path = folder.to_str().unwrap().to_owned();
    let install = async |path: &str| node.http.post("/plugins", &json!({"path": path})).await;
    let write = |text: &str| std::fs::write(&manifest, text).unwrap();
    let head = |name: &str, kind: &str| {
        format!("[plugin]\nname = \"{name}\"\nversion = \"1\"\nplugin_type = \"{kind}\"\n")
    };

    assert_eq!(install(&path).await.status, 422);
    write("nonsense");
    assert_eq!(install(&path).await.status, 422);
    write(&format!(
        "{}wasm_path = \"none.wasm\"\n[[tools]]\nname = \"t\"\n",
        head("p", "wasm")
    ));
    assert_eq!(install(&path).await.status, 422);
    write(&format!("{}[[tools]]\nname = \"t\"\n", head("p", "binary")));
    assert_eq!(install(&path).await.status, 403);
    // A tool's name, or the plugin's, that is taken already.
    let http = |name: &str, tool: &str| {
        format!(
            "{}url = \"http://127.0.0.1:1\"\n[[tools]]\nname = \"{tool}\"\n",
            head(name, "http")
        )
    };
    write(&http("p", "calculator"));
    assert_eq!(install(&path).await.status, 409);
    write(&http("text_stats", "mine"));
    assert_eq!(install(&path).await.status, 409);
    write(&http("p", "mine"));
    std::os::unix::fs::symlink("/etc/passwd", folder.join("link")).unwrap();
    assert_eq!(install(&path).await.status, 422);
    for path in ["", "relative/path", "/no/such/folder"] {
        assert_eq!(install(path).await.status, 422, "{path}");
    }
    assert_eq!(names(&node.get("/plugins").await), ["text_stats"]);
    let left = std::fs::read_dir(home.data().join("plugins"))
        .unwrap()
        .count();
    assert_eq!(left, 0);
    assert_eq!(audited(&node, "plugin_installed").await, 0);
    // One that was found and not installed is taken away where it is.
    let answer = node.http.send("DELETE", "/plugins/text_stats", "").await;
    assert_eq!(answer.status, 409, "{}", answer.text());

    std::fs::remove_file(folder.join("link")).unwrap();
    assert_eq!(install(&path).await.status, 201);
    assert_eq!(names(&node.get("/plugins").await), ["text_stats", "p"]);
}

fn parent(path: &str) -> String {
    Path::new(path)
        .parent()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_playbook_is_exported_changed_imported_and_compared() {
    let home = Home::new();
    let node = home.start().await;
    node.alone_in_office().await;
    node.twin().await;
    let empty = home.json(&["playbook", "diff"]).await;
    assert_eq!(
        (&empty["from"], &empty["changes"]),
        (&empty["to"], &json!([]))
    );

    let file = home.root().join("playbook.toml");
    let name = file.to_str().unwrap();
    home.json(&["playbook", "export", name]).await;
    let before = node.get("/playbook").await;
    // Nothing changed is nothing to offer.
    let same = home.pagi(&["playbook", "import", name]).await.complaint(1);
    assert!(same.contains("nothing differs"), "{same}");

    let mut document: toml::Table = std::fs::read_to_string(&file).unwrap().parse().unwrap();
    let changed = toml::Value::Integer(7);
    let engineering = document
        .entry("context_engineering")
        .or_insert_with(|| toml::Table::new().into());
    engineering
        .as_table_mut()
        .unwrap()
        .insert("retrieval_top_k".into(), changed);
    std::fs::write(&file, toml::to_string(&document).unwrap()).unwrap();
    let artifact = home
        .json(&["playbook", "import", name, "--critique", "seven are enough"])
        .await;
    assert_eq!(
        (&artifact["status"], &artifact["critique"]),
        (&json!("merged"), &json!("seven are enough"))
    );
    let after = node.get("/playbook").await;
    assert_ne!(before["head"], after["head"]);
    assert_eq!(
        after["document"]["context_engineering"]["retrieval_top_k"],
        7
    );

    let found = home.json(&["playbook", "diff"]).await;
    assert_eq!(
        (&found["from"], &found["to"]),
        (&before["head"], &after["head"])
    );
    assert_eq!(
        found["changes"][0]["name"],
        "context_engineering.retrieval_top_k"
    );
    assert_eq!(found["changes"][0]["after"], 7);
    assert_eq!(found["changes"].as_array().unwrap().len(), 1, "{found}");
    let (from, to) = (
        before["head"].as_str().unwrap(),
        after["head"].as_str().unwrap(),
    );
    assert_eq!(home.json(&["playbook", "diff", from, to]).await, found);
    let back = home.json(&["playbook", "diff", to, from]).await;
    assert_eq!(back["changes"][0]["before"], 7);
    let text = home.pagi(&["playbook", "diff"]).await;
    assert!(text.stdout.contains("+ 7"), "{text:?}");
    for (from, code) in [
        ("nonsense", 1),
        (
            "bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",
            1,
        ),
    ] {
        home.pagi(&["playbook", "diff", from]).await.complaint(code);
    }

    // Ethics cannot be changed this way.
    document
        .entry("ethics")
        .or_insert_with(|| toml::Table::new().into())
        .as_table_mut()
        .unwrap()
        .insert("alignment_check".into(), toml::Value::Boolean(false));
    std::fs::write(&file, toml::to_string(&document).unwrap()).unwrap();
    let refused = home.pagi(&["playbook", "import", name]).await.complaint(1);
    assert!(refused.contains("gate"), "{refused}");
}
