//! What happened to a container, as `events` shows it: Compose's line and Compose's JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::event::{Action, Event};

/// One event in the words of Docker.
struct Told<'a> {
    time_ns: i64,
    service: &'a str,
    id: &'a str,
    action: String,
    attributes: BTreeMap<&'a str, String>,
}

/// Returns the event as Compose's JSON has it: time, type, action, id, service and attributes.
/// `None` for what is no container's.
pub(crate) fn to_json(event: &Event) -> Option<Value> {
    let told = told(event)?;
    Some(json!({
        "action": told.action,
        "attributes": told.attributes,
        "id": told.id,
        "service": told.service,
        "time": time(told.time_ns, "%Y-%m-%dT%H:%M:%S.%9fZ"),
        "type": "container",
    }))
}

/// Returns the event as a line: `2026-11-21 22:18:03.000000 container die 0d5e... (exitCode=1, image=redis, name=app-web-1)`.
pub(crate) fn to_line(event: &Event) -> Option<String> {
    let told = told(event)?;
    let attributes: Vec<String> = told.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let time = time(told.time_ns, "%Y-%m-%d %H:%M:%S.%6f");
    Some(format!("{time} container {} {} ({})", told.action, told.id, attributes.join(", ")))
}

fn told(event: &Event) -> Option<Told<'_>> {
    let Event::Container { time_ns, service, name, id, action, attributes, .. } = event else { return None };
    let mut shown: BTreeMap<&str, String> = attributes.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
    shown.insert("name", name.clone());
    let action = match action {
        Action::Create => "create".to_owned(),
        Action::Start => "start".to_owned(),
        Action::Kill { signal } => {
            shown.insert("signal", signal.to_string());
            "kill".to_owned()
        }
        Action::Oom => "oom".to_owned(),
        Action::Die { exit_code, .. } => {
            shown.insert("exitCode", exit_code.to_string());
            "die".to_owned()
        }
        Action::Heal { cause, remedy } => {
            shown.insert("cause", cause.clone());
            shown.insert("remedy", remedy.clone());
            "heal".to_owned()
        }
        Action::Stop => "stop".to_owned(),
        Action::Health { status } => format!("health_status: {status}"),
        Action::Ready { rule } => {
            shown.insert("rule", rule.clone());
            "ready".to_owned()
        }
        Action::Destroy => "destroy".to_owned(),
    };
    Some(Told { time_ns: *time_ns, service, id: id.as_str(), action, attributes: shown })
}

fn time(nanoseconds: i64, format: &str) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(nanoseconds))
        .map_or_else(|_| nanoseconds.to_string(), |time| time.strftime(format).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ContainerId, ProjectName};

    fn event(action: Action) -> Event {
        Event::Container {
            time_ns: 1_700_000_000_000_000_000,
            project: ProjectName::new("demo"),
            service: "web".to_owned(),
            name: "demo-web-1".to_owned(),
            id: ContainerId::from_bytes([7; 32]),
            action,
            attributes: BTreeMap::from([("image".to_owned(), "redis".to_owned())]),
        }
    }

    #[test]
    fn a_line_has_the_words_of_compose() {
        let check = |action: Action, expected: &str| {
            let line = to_line(&event(action)).unwrap();
            assert_eq!(
                line.replace(&"07".repeat(32), "ID"),
                format!("2023-11-14 22:13:20.000000 container {expected}")
            );
        };
        check(Action::Start, "start ID (image=redis, name=demo-web-1)");
        check(Action::Kill { signal: 15 }, "kill ID (image=redis, name=demo-web-1, signal=15)");
        let die = Action::Die { exit_code: 143, oom: false, restart_in_ms: None, card: None };
        check(die, "die ID (exitCode=143, image=redis, name=demo-web-1)");
        let health = Action::Health { status: "healthy".to_owned() };
        check(health, "health_status: healthy ID (image=redis, name=demo-web-1)");
        assert_eq!(to_line(&Event::Note { message: "so".to_owned() }), None);
    }

    #[test]
    fn the_json_is_that_of_compose() {
        let json = to_json(&event(Action::Oom)).unwrap().to_string();
        let id = "07".repeat(32);
        assert_eq!(
            json,
            format!(
                "{{\"action\":\"oom\",\"attributes\":{{\"image\":\"redis\",\"name\":\"demo-web-1\"}},\"id\":\"{id}\",\
                 \"service\":\"web\",\"time\":\"2023-11-14T22:13:20.000000000Z\",\"type\":\"container\"}}"
            )
        );
        let value: Value = serde_json::from_str(&json).unwrap();
        crate::schemas::check("events", &value);
    }
}
