use insta::assert_snapshot;

use super::*;
use crate::ids::{ContainerId, ProjectName};

const NOW: i64 = 1_700_000_000;

fn container(name: &str) -> ContainerSummary {
    ContainerSummary {
        id: ContainerId::from_bytes([0xab; 32]),
        name: format!("demo-{name}-1"),
        project: ProjectName::new("demo"),
        service: name.to_owned(),
        number: 1,
        one_off: false,
        image: "redis:7".to_owned(),
        command: vec!["docker-entrypoint.sh".to_owned(), "redis-server".to_owned()],
        created: NOW - 125,
        state: "running".to_owned(),
        health: String::new(),
        ready: false,
        ready_rule: String::new(),
        exit_code: 0,
        since: Some(NOW - 3),
        cause: String::new(),
        restarts: 0,
        publishers: Vec::new(),
        exposed: Vec::new(),
        labels: [("com.docker.compose.project", "demo"), ("tier", "db")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
        networks: vec!["demo_default".to_owned()],
        mounts: vec!["demo_data".to_owned(), "/srv/app".to_owned()],
    }
}

fn publisher(url: &str, target_port: u16, published_port: u16) -> Publisher {
    Publisher { url: url.to_owned(), target_port, published_port, protocol: "tcp".to_owned() }
}

#[test]
fn the_table_is_composes() {
    let web = ContainerSummary {
        health: "healthy".to_owned(),
        publishers: vec![publisher("0.0.0.0", 80, 8080), publisher("::", 80, 8080)],
        command: vec!["httpd".to_owned(), "-f".to_owned()],
        ..container("web")
    };
    let job =
        ContainerSummary { state: "exited".to_owned(), exit_code: 1, since: Some(NOW - 7200), ..container("job") };
    let redis = ContainerSummary { exposed: vec!["6379/tcp".to_owned()], ..container("redis") };
    assert_snapshot!(draw(&[job, redis, web], NOW, true), @r#"
    NAME           IMAGE     COMMAND                  SERVICE   CREATED         STATUS                   PORTS
    demo-job-1     redis:7   "docker-entrypoint.s…"   job       2 minutes ago   Exited (1) 2 hours ago   
    demo-redis-1   redis:7   "docker-entrypoint.s…"   redis     2 minutes ago   Up 3 seconds             6379/tcp
    demo-web-1     redis:7   "httpd -f"               web       2 minutes ago   Up 3 seconds (healthy)   0.0.0.0:8080->80/tcp, [::]:8080->80/tcp
    "#);
    assert_snapshot!(draw(&[], NOW, true), @"NAME      IMAGE     COMMAND   SERVICE   CREATED   STATUS    PORTS");
}

#[test]
fn json_is_composes() {
    let web = ContainerSummary {
        publishers: vec![publisher("0.0.0.0", 80, 8080)],
        exposed: vec!["443/tcp".to_owned(), "80/tcp".to_owned()],
        ..container("web")
    };
    let text = serde_json::to_string_pretty(&to_json(&web, NOW, true)).unwrap();
    crate::schemas::check("ps", &to_json(&web, NOW, true));
    assert_snapshot!(text, @r#"
    {
      "Command": "\"docker-entrypoint.s…\"",
      "CreatedAt": "2023-11-14 22:11:15 +0000 UTC",
      "ExitCode": 0,
      "Health": "",
      "ID": "abababababab",
      "Image": "redis:7",
      "Labels": "com.docker.compose.project=demo,tier=db",
      "LocalVolumes": "1",
      "Mounts": "demo_data,/srv/app",
      "Name": "demo-web-1",
      "Names": "demo-web-1",
      "Networks": "demo_default",
      "Ports": "443/tcp, 0.0.0.0:8080->80/tcp",
      "Project": "demo",
      "Publishers": [
        {
          "URL": "0.0.0.0",
          "TargetPort": 80,
          "PublishedPort": 8080,
          "Protocol": "tcp"
        },
        {
          "URL": "",
          "TargetPort": 443,
          "PublishedPort": 0,
          "Protocol": "tcp"
        }
      ],
      "Ready": false,
      "ReadyRule": "",
      "RunningFor": "2 minutes ago",
      "Service": "web",
      "Size": "0B",
      "State": "running",
      "Status": "Up 3 seconds"
    }
    "#);
}

#[test]
fn states_are_worded_as_docker_does() {
    let check = |state: &str, health: &str, since: Option<i64>, expected: &str| {
        let c = ContainerSummary {
            state: state.to_owned(),
            health: health.to_owned(),
            exit_code: 137,
            since: since.map(|s| NOW - s),
            ..container("web")
        };
        assert_eq!(status(&c, NOW), expected);
    };
    check("running", "", Some(0), "Up Less than a second");
    check("running", "starting", Some(70), "Up About a minute (health: starting)");
    check("running", "unhealthy", Some(3600), "Up About an hour (unhealthy)");
    check("exited", "", Some(5), "Exited (137) 5 seconds ago");
    check("restarting", "", Some(1), "Restarting (137) 1 second ago");
    check("created", "", None, "Created");
    check("paused", "", Some(120), "Up 2 minutes (Paused)");
}

#[test]
fn neighbouring_ports_are_joined() {
    let check = |publishers: Vec<Publisher>, exposed: &[&str], expected: &str| {
        let exposed = exposed.iter().map(|e| (*e).to_owned()).collect();
        assert_eq!(ports(&ContainerSummary { publishers, exposed, ..container("web") }), expected);
    };
    let run =
        vec![publisher("0.0.0.0", 8001, 8001), publisher("0.0.0.0", 8000, 8000), publisher("0.0.0.0", 8002, 8002)];
    check(run, &[], "0.0.0.0:8000-8002->8000-8002/tcp");
    check(vec![], &["80/tcp", "81/tcp", "53/udp"], "53/udp, 80-81/tcp");
    check(vec![publisher("127.0.0.1", 80, 49153)], &["80/tcp"], "127.0.0.1:49153->80/tcp");
    check(vec![], &[], "");
}
