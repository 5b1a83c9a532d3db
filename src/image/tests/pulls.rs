use std::fs;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::json;

use super::super::*;
use super::support::{Answer, Fake, Registry, World, image, layer, layout};
use crate::ids::Digest;

fn text(error: &ImageError) -> String {
    let sources = std::iter::successors(std::error::Error::source(error), |error| error.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_pulled_from_a_registry() {
    let world = World::new();
    let registry = Registry::start(&world);
    let big = "x".repeat(3_000_000);
    let layers =
        [layer(&[("etc/", ""), ("etc/a", "1"), ("etc/gone", "x")]), layer(&[("etc/.wh.gone", ""), ("big", &big)])];
    for how in ["gz", "zst", ""] {
        let dir = layout(&world.dir().join(format!("oci{how}")), &layers, how, "app");
        registry.push(&dir, "app", &format!("team/app:x{how}"));
    }
    let store = world.store();
    for how in ["gz", "zst", ""] {
        let name = format!("{}/team/app:x{how}", registry.address);
        let seen = Mutex::new(Vec::new());
        let image = store.pull(&name, &|progress| seen.lock().unwrap().push(progress.phase)).await.unwrap();
        assert_eq!(image.references, std::slice::from_ref(&name));
        assert_eq!(fs::read_to_string(image.layers[0].join("etc/a")).unwrap(), "1");
        assert_eq!(fs::read_to_string(image.layers[1].join("big")).unwrap(), big);
        assert_eq!(store.get(&name).unwrap(), Some(image.clone()));
        let by_digest = format!("{}/team/app@{}", registry.address, image.manifest);
        assert_eq!(store.get(&by_digest).unwrap(), Some(image.clone()));
        let seen = seen.into_inner().unwrap();
        assert_eq!(seen[0], PullPhase::Resolving);
        assert_eq!(seen.iter().filter(|phase| **phase == PullPhase::Done).count(), 2);
    }
    // Again: only the question what the name stands for.
    let seen = Mutex::new(Vec::new());
    let name = format!("{}/team/app:xgz", registry.address);
    let again = store.pull(&name, &|progress| seen.lock().unwrap().push(progress.phase)).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [PullPhase::Resolving, PullPhase::Exists, PullPhase::Exists]);
    let by_digest = format!("{}/team/app@{}", registry.address, again.manifest);
    assert_eq!(store.pull(&by_digest, &|_| {}).await.unwrap().id, again.id);
    // What a name means can be asked without fetching anything.
    let exact = format!("{name}@{}", again.manifest);
    for text in [&name, &exact] {
        assert_eq!(store.resolve(text).await.unwrap(), exact);
    }
    assert_eq!(store.resolve("oci:dir").await.unwrap(), "oci:dir");
    assert_eq!(world.leftovers(), [] as [String; 0]);
    let missing = |what: &str| format!("{}/{what}", registry.address);
    for what in ["team/app:none", "team/none:1"] {
        for error in
            [store.pull(&missing(what), &|_| {}).await.unwrap_err(), store.resolve(&missing(what)).await.unwrap_err()]
        {
            assert_eq!(text(&error), format!("{} was not found on {}", missing(what), registry.address));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pulls_at_the_same_time_share_the_work() {
    let world = World::new();
    let registry = Registry::start(&world);
    let base = layer(&[("base", &"y".repeat(500_000))]);
    let mut names = Vec::new();
    for number in 0..3 {
        let own = layer(&[("own", &number.to_string())]);
        let dir = layout(&world.dir().join(format!("oci{number}")), &[base.clone(), own], "gz", "app");
        registry.push(&dir, "app", &format!("app:{number}"));
        names.push(format!("{}/app:{number}", registry.address));
    }
    let store = world.store();
    let done = Mutex::new(0);
    let count = |progress: PullProgress| {
        if progress.phase == PullPhase::Done {
            *done.lock().unwrap() += 1;
        }
    };
    let pulls = names.iter().chain(&names).map(|name| store.pull(name, &count));
    let images = futures_util::future::try_join_all(pulls).await.unwrap();
    assert_eq!(*done.lock().unwrap(), 4, "the base and each one's own layer, once");
    assert!(images.iter().all(|image| image.layers[0] == images[0].layers[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_layers_are_refused_and_leave_nothing() {
    let world = World::new();
    let registry = Registry::start(&world);
    let name = format!("{}/app:1", registry.address);
    let dir = layout(&world.dir().join("oci"), &[layer(&[("a", &"1".repeat(10_000))])], "gz", "app");
    registry.push(&dir, "app", "app:1");
    let manifest: serde_json::Value =
        serde_json::from_str(&super::skopeo(&["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}")]))
            .unwrap();
    let digest: Digest = manifest["layers"][0]["digest"].as_str().unwrap().parse().unwrap();
    let (file, store) = (registry.blob(&digest), world.store());
    let good = fs::read(&file).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for bad in [flipped, good[..good.len() - 9].to_vec(), good[..3].to_vec(), [&good[..], b"more"].concat()] {
        fs::write(&file, bad).unwrap();
        let error = store.pull(&name, &|_| {}).await.unwrap_err();
        assert!(matches!(&error, ImageError::Digest { expected, .. } if *expected == digest), "{}", text(&error));
        assert!(error.hint().unwrap().contains("the copy in the registry is damaged"));
        assert_eq!(world.leftovers(), [] as [String; 0]);
        assert_eq!(store.list(), []);
    }
    fs::write(&file, good).unwrap();
    store.pull(&name, &|_| {}).await.unwrap();
}

/// Serves one image as `x:1`; `answer` may replace what is served.
fn fake(
    (manifest, config, layers): (Vec<u8>, Vec<u8>, Vec<Vec<u8>>),
    answer: impl Fn(&str, &str, &str) -> Option<Answer> + Send + 'static,
) -> Fake {
    Fake::start(move |path, range, authorization| {
        if let Some(answer) = answer(path, range, authorization) {
            return answer;
        }
        let blobs = layers.iter().chain([&config, &manifest]);
        let found = blobs.into_iter().find(|blob| path.ends_with(Digest::of(blob).as_str()));
        match found {
            _ if path == "/v2/" => Answer::new(200, "{}"),
            Some(blob) => Answer::new(200, blob.clone()),
            None if path == "/v2/x/manifests/1" => Answer::new(200, manifest.clone()),
            None => Answer::new(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"unknown"}]}"#),
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_download_goes_on_where_it_was() {
    let world = World::new();
    let content: String = (0..50_000).map(|number| number.to_string()).collect();
    let image = image(&[layer(&[("a", &content)])], "", "amd64");
    let blob = image.2[0].clone();
    let digest = Digest::of(&blob).to_string();
    let registry = fake(image, move |path, range, _| {
        if !path.ends_with(&digest) {
            return None;
        }
        let from: usize = range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()?;
        let cut = (from == 0).then_some(100_000);
        let length = blob.len();
        let headers = vec![("Content-Range", format!("bytes {from}-{}/{length}", length - 1))];
        Some(Answer { status: 206, headers, body: blob[from..].to_vec(), cut })
    });
    let pulled = world.store().pull(&format!("{}/x:1", registry.address), &|_| {}).await.unwrap();
    assert_eq!(fs::read_to_string(pulled.layers[0].join("a")).unwrap(), content);
    let requests = registry.requests.lock().unwrap();
    assert!(requests.iter().any(|r| r.contains(" bytes=") && !r.ends_with("bytes=0-")), "{requests:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_explained_and_credentials_sent() {
    let world = World::new();
    let registry = fake(image(&[layer(&[("a", "1")])], "gz", "amd64"), |_, _, authorization| {
        let headers = vec![("WWW-Authenticate", "Basic realm=\"here\"".to_owned())];
        let body = br#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#.to_vec();
        // u:pw
        (authorization != "Basic dTpwdw==").then_some(Answer { status: 401, headers, body, cut: None })
    });
    let name = format!("{}/x:1", registry.address);
    let error = world.store().pull(&name, &|_| {}).await.unwrap_err();
    assert_eq!(
        text(&error),
        format!("registry {} does not let us read {name}: authentication required", registry.address)
    );
    assert!(error.hint().unwrap().contains("docker login"));
    let login = format!(r#"{{"auths":{{"{}":{{"auth":"dTpwdw=="}}}}}}"#, registry.address);
    let settings = Settings { docker_config: Some(world.write("config.json", login.as_bytes())), ..Settings::none() };
    let store = ImageStore::open_with(&world.root(), settings).unwrap();
    store.pull(&name, &|_| {}).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn other_architectures_and_failing_registries_are_explained() {
    let world = World::new();
    let registry = fake(image(&[layer(&[("a", "1")])], "gz", "s390x"), |path, _, _| {
        let entry = |architecture: &str| {
            json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 1, "digest": Digest::of(b"x"),
                "platform": {"os": "linux", "architecture": architecture}})
        };
        let index = json!({"schemaVersion": 2, "manifests": [entry("s390x"), entry("riscv64")]});
        match path {
            "/v2/x/manifests/many" => Some(Answer::new(200, index.to_string())),
            "/v2/x/manifests/sick" => Some(Answer::new(503, "over\u{7}loaded\n<html>")),
            "/v2/x/manifests/junk" => Some(Answer::new(200, "no json")),
            _ => None,
        }
    });
    let store = world.store();
    let host = std::env::consts::ARCH.replace("x86_64", "amd64").replace("aarch64", "arm64/v8");
    let pull = async |tag: &str| {
        let error = store.pull(&format!("{}/x:{tag}", registry.address), &|_| {}).await.unwrap_err();
        text(&error).replace(&registry.address.to_string(), "R").replace(&host, "HOST")
    };
    assert_eq!(pull("1").await, "R/x:1 is not there for linux/HOST, only for linux/s390x");
    assert_eq!(pull("many").await, "R/x:many is not there for linux/HOST, only for linux/s390x, linux/riscv64");
    assert_eq!(pull("sick").await, "registry R failed to answer for R/x:sick: HTTP status 503: overloaded");
    assert!(pull("junk").await.starts_with("the image's manifest is not what it should be: "));
    let asked = |what: &str| registry.requests.lock().unwrap().iter().filter(|r| r.contains(what)).count();
    assert_eq!(asked("sick"), 3, "a sick registry is asked again, not for ever");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_registry_fails_soon() {
    let world = World::new();
    let store = world.store();
    // A port that nobody listens on: taken and given back.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let start = Instant::now();
    let error = store.pull(&format!("{free}/x"), &|_| {}).await.unwrap_err();
    assert_eq!(text(&error), format!("registry {free} cannot be reached: Connection refused (os error 111)"));
    assert!(start.elapsed() < Duration::from_secs(5));
    // One that never answers: its queue of connections is full.
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap()).unwrap();
    rustix::net::listen(&socket, 0).unwrap();
    let address = std::net::TcpListener::from(socket.try_clone().unwrap()).local_addr().unwrap();
    let filling: Vec<_> =
        (0..3).map(|_| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200))).collect();
    assert!(filling.iter().any(Result::is_err), "the queue is full");
    let start = Instant::now();
    let error = store.pull(&format!("{address}/x"), &|_| {}).await.unwrap_err();
    assert_eq!(text(&error), format!("registry {address} cannot be reached: no answer within 0.6 s"));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert!(error.hint().unwrap().contains("stack image load"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_is_asked_first_and_passed_over_when_it_has_nothing() {
    let world = World::new();
    let fakes = |number: &str| fake(image(&[layer(&[("a", number)])], "gz", "amd64"), |_, _, _| None);
    let (mirror, empty) = (fakes("mirror"), Fake::start(|_, _, _| Answer::new(404, "")));
    let conf = format!(
        "[[registry]]\nlocation = \"hub.invalid\"\n[[registry.mirror]]\nlocation = \"{}\"\n[[registry.mirror]]\nlocation = \"{}\"\n",
        empty.address, mirror.address
    );
    let settings = Settings { registries: vec![world.write("registries.conf", conf.as_bytes())], ..Settings::none() };
    let store = ImageStore::open_with(&world.root(), settings).unwrap();
    let image = store.pull("hub.invalid/x:1", &|_| {}).await.unwrap();
    assert_eq!(image.references, ["hub.invalid/x:1"]);
    assert_eq!(fs::read_to_string(image.layers[0].join("a")).unwrap(), "mirror");
    assert!(!empty.requests.lock().unwrap().is_empty());
}

/// Run it where no name server answers: `unshare -n`, an `/etc/resolv.conf` of its own.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: prints how soon a pull from an unreachable Docker Hub fails"]
async fn cost_of_an_unreachable_hub() {
    let world = World::new();
    let store = ImageStore::open_with(&world.root(), Settings::none()).unwrap();
    let start = Instant::now();
    let error = store.pull("redis:7", &|_| {}).await.unwrap_err();
    println!("{:?}: {}", start.elapsed(), text(&error));
}
