//! The example that the README names, with its own images.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::host::own_address;
use crate::support::program::run;
use crate::support::world::{free_port, get, redis, repository};
use crate::support::{SOON, World, eventually, images};

#[test]
fn three_databases_and_a_web_service_that_uses_them() {
    let mut world = World::empty();
    let example = repository().join("examples/databases");
    let script = example.join("images.sh");
    for name in ["redis", "mysql", "mongo", "web"] {
        images::example(&script, name);
        let mut import = Command::new(&script);
        import
            .args(["import", name])
            .envs(world.command(&[]).get_envs().filter_map(|(key, value)| Some((key, value?))));
        run(import.env("STACK", crate::support::world::PROGRAM), Duration::from_secs(120)).ok();
    }
    fs::copy(example.join("stack.yml"), world.folder().join("stack.yml")).unwrap();
    let mut next = free_port();
    let mut port = |world: &mut World, variable: &str| {
        while std::net::TcpListener::bind(("::", next)).is_err() {
            next += 1;
        }
        world.set(variable, &next);
        next += 1;
        next - 1
    };
    let web = port(&mut world, "WEB_PORT");
    let cache = port(&mut world, "REDIS_PORT");
    let documents = port(&mut world, "MONGO_PORT");
    let tables = port(&mut world, "MYSQL_PORT");

    let up = run(&mut world.command(&["up", "-d", "--wait", "--wait-timeout", "120"]), Duration::from_secs(150));
    up.ok();

    // The web service finds all three by name, writes to them and reads back.
    let visit = |address: IpAddr| -> Value {
        let page = get(address, web, "/").unwrap_or_else(|err| panic!("{address}: {err}"));
        serde_json::from_str(&page).unwrap_or_else(|err| panic!("{err}: {page}"))
    };
    let mut count = 0;
    let own = own_address().map(IpAddr::from);
    for address in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()].into_iter().chain(own) {
        count += 1;
        let answer = visit(address);
        assert_eq!(answer["redis"]["visits"], count, "{answer}");
        assert_eq!(answer["mysql"]["rows"], count, "{answer}");
        assert_eq!(answer["mongo"]["documents"], count, "{answer}");
    }
    assert_eq!(redis(Ipv4Addr::LOCALHOST, cache, "PING").unwrap(), "+PONG");
    for port in [documents, tables] {
        std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap_or_else(|err| panic!("port {port}: {err}"));
    }

    // A database that is killed comes back with its data, at its address.
    for service in ["redis", "mysql", "mongo"] {
        let (pid, address) = (world.pid(service), world.address(service));
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL).unwrap();
        count += 1;
        let answer = eventually("the web service works again", SOON, || {
            let page = get(Ipv4Addr::LOCALHOST, web, "/").ok()?;
            serde_json::from_str::<Value>(&page).ok().filter(|answer| answer.get("error").is_none())
        });
        // A visit that failed half-way has counted in redis.
        count = answer["redis"]["visits"].as_i64().unwrap().max(count);
        assert!(
            answer["mysql"]["rows"].as_i64().unwrap() > 2 && answer["mongo"]["documents"].as_i64().unwrap() > 2,
            "{answer}"
        );
        assert_eq!(world.address(service), address, "{service}");
        assert_ne!(world.pid(service), pid, "{service}");
    }

    // Data survives down and up.
    run(&mut world.command(&["down"]), Duration::from_secs(60)).ok();
    run(&mut world.command(&["up", "-d", "--wait", "--wait-timeout", "120"]), Duration::from_secs(150)).ok();
    let answer = visit(Ipv4Addr::LOCALHOST.into());
    assert!(answer["redis"]["visits"].as_i64().unwrap() > count, "{answer}");
    assert!(
        answer["mysql"]["rows"].as_i64().unwrap() > 3 && answer["mongo"]["documents"].as_i64().unwrap() > 3,
        "{answer}"
    );
}
