//! A plan as text: a line per resource, what changes below it, a sum at the end.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr as _;

use super::style::Palette;
use crate::api::{Change, Effect, Kind, Review, Reviewed};

/// Returns the text of `stack plan`.
pub(crate) fn draw(review: &Review, palette: Palette) -> String {
    let changed: Vec<&Reviewed> = review.resources.iter().filter(|r| r.effect != Effect::None).collect();
    let mut text = String::new();
    let widest = changed.iter().map(|r| r.name.width()).max().unwrap_or(0);
    let longest = changed.iter().map(|r| word(r.effect).len()).max().unwrap_or(0).max(8);
    for resource in &changed {
        let name = format!("{}{}", resource.name, " ".repeat(widest - resource.name.width()));
        let word = word(resource.effect);
        let line = format!("{} {:<9} {name}  {word:<longest$}", sign(resource.effect), kind(resource.kind));
        let _ = writeln!(text, "{}  {}", paint(palette, resource.effect, &line), palette.dim(&resource.cause));
        details(&mut text, resource, palette);
    }
    let same: Vec<&str> =
        review.resources.iter().filter(|r| r.effect == Effect::None).map(|r| r.name.as_str()).collect();
    if !same.is_empty() {
        let _ = writeln!(text, "{}", palette.dim(&format!("  unchanged {}", same.join(", "))));
    }
    for note in &review.notes {
        let _ = writeln!(text, "{} {note}", palette.yellow("note:"));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let _ = writeln!(text, "{}", sum(review));
    text
}

fn details(text: &mut String, resource: &Reviewed, palette: Palette) {
    let widest = resource.changes.iter().map(|change| change.field.width()).max().unwrap_or(0);
    for Change { field, before, after } in &resource.changes {
        let gap = " ".repeat(widest - field.width());
        let values = match (before, after) {
            // Two secrets that differ look the same.
            (Some(before), Some(after)) if before == after => format!("{after} (another value)"),
            (Some(before), Some(after)) => format!("{} -> {}", palette.red(before), palette.green(after)),
            (None, Some(after)) => palette.green(&format!("+ {after}")),
            (Some(before), None) => palette.red(&format!("- {before}")),
            (None, None) => String::new(),
        };
        let _ = writeln!(text, "      {field}{gap}  {values}");
    }
    if !resource.bounces.is_empty() {
        let _ = writeln!(text, "      {} {}", palette.yellow("stops too:"), resource.bounces.join(", "));
    }
    for lost in &resource.loses {
        let _ = writeln!(text, "      {} {lost}", palette.red("loses:"));
    }
}

/// Returns `1 to create, 2 to recreate, 3 unchanged`.
fn sum(review: &Review) -> String {
    let of = |effect: Effect| review.resources.iter().filter(|resource| resource.effect == effect).count();
    let effects = [
        Effect::Pull,
        Effect::Create,
        Effect::Recreate,
        Effect::Change,
        Effect::Repair,
        Effect::Restart,
        Effect::Start,
        Effect::Stop,
        Effect::Remove,
    ];
    let parts: Vec<String> = effects
        .into_iter()
        .map(|effect| (of(effect), effect))
        .filter(|(count, _)| *count > 0)
        .map(|(count, effect)| format!("{count} to {}", word(effect)))
        .collect();
    let same = of(Effect::None);
    if parts.is_empty() {
        return format!("Nothing to do: {same} of {same} containers are as the file says.");
    }
    let rest = if same > 0 { format!(", {same} unchanged") } else { String::new() };
    format!("Plan: {}{rest}.", parts.join(", "))
}

fn sign(effect: Effect) -> char {
    match effect {
        Effect::Pull | Effect::Create => '+',
        Effect::Recreate | Effect::Change | Effect::Restart | Effect::Repair | Effect::Start | Effect::Stop => '~',
        Effect::Remove => '-',
        Effect::None => ' ',
    }
}

fn word(effect: Effect) -> &'static str {
    match effect {
        Effect::Pull => "pull",
        Effect::Create => "create",
        Effect::Recreate => "recreate",
        Effect::Change => "change in place",
        Effect::Restart => "restart",
        Effect::Start => "start",
        Effect::Repair => "repair",
        Effect::Stop => "stop",
        Effect::Remove => "remove",
        Effect::None => "nothing",
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Image => "image",
        Kind::Network => "network",
        Kind::Volume => "volume",
        Kind::Container => "container",
    }
}

fn paint(palette: Palette, effect: Effect, line: &str) -> String {
    match effect {
        Effect::Pull | Effect::Create | Effect::Start => palette.green(line),
        Effect::Remove => palette.red(line),
        _ => palette.yellow(line),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn resource(kind: Kind, name: &str, effect: Effect, cause: &str) -> Reviewed {
        Reviewed {
            kind,
            name: name.to_owned(),
            service: None,
            effect,
            cause: cause.to_owned(),
            changes: Vec::new(),
            bounces: Vec::new(),
            loses: Vec::new(),
        }
    }

    #[test]
    fn what_changes_stands_below_its_resource() {
        let change = |field: &str, before: Option<&str>, after: Option<&str>| Change {
            field: field.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        let mut web = resource(Kind::Container, "shop-web-1", Effect::Recreate, "configuration changed");
        web.changes = vec![
            change("image", Some("nginx:1 (aaa)"), Some("nginx:2 (bbb)")),
            change("environment.A", None, Some("1")),
            change("environment.TOKEN", Some("***"), Some("***")),
            change("volumes./old", Some("volume shop_old"), None),
        ];
        web.bounces = vec!["shop-proxy-1".to_owned()];
        web.loses = vec!["the anonymous volume at /cache".to_owned()];
        let review = Review {
            resources: vec![
                resource(Kind::Network, "shop_back", Effect::Create, "missing"),
                web,
                resource(Kind::Container, "shop-db-1", Effect::None, ""),
            ],
            notes: vec!["volume shop_x exists with another definition".to_owned()],
        };
        assert_snapshot!(draw(&review, Palette::new(false)), @r"
        + network   shop_back   create    missing
        ~ container shop-web-1  recreate  configuration changed
              image              nginx:1 (aaa) -> nginx:2 (bbb)
              environment.A      + 1
              environment.TOKEN  *** (another value)
              volumes./old       - volume shop_old
              stops too: shop-proxy-1
              loses: the anonymous volume at /cache
          unchanged shop-db-1
        note: volume shop_x exists with another definition

        Plan: 1 to create, 1 to recreate, 1 unchanged.
        ");
        assert_snapshot!(draw(&Review { resources: review.resources[2..].to_vec(), notes: vec![] }, Palette::new(false)), @r"
          unchanged shop-db-1

        Nothing to do: 1 of 1 containers are as the file says.
        ");
    }
}
