use insta::assert_snapshot;

use super::*;

fn block() -> Block {
    let mut block = Block { title: "up".to_owned(), ..Block::default() };
    let at = Duration::from_millis;
    block.update(&Resource::Network("demo_default".into()), Status::Creating, "", at(0));
    block.update(&Resource::Container("demo-web-1".into()), Status::Creating, "", at(10));
    block.update(&Resource::Container("demo-db-1".into()), Status::Starting, "", at(20));
    block.update(&Resource::Network("demo_default".into()), Status::Created, "", at(120));
    block.update(&Resource::Container("demo-web-1".into()), Status::Waiting, "demo-db-1 to be healthy", at(130));
    block
}

fn draw(block: &Block, width: usize, height: Option<usize>) -> String {
    let lines = block.lines(width, height, Duration::from_millis(220), Palette::new(false));
    for line in &lines {
        assert!(line.width() < width, "{line:?} does not fit {width} columns");
    }
    lines.join("\n")
}

#[test]
fn nothing_is_said_twice_and_a_failure_stays_one() {
    fn check(before: Status, after: Status, expected: bool) {
        assert_eq!(news(Some(&(before, String::new())), after, ""), expected, "{before:?} {after:?}");
    }
    check(Status::Creating, Status::Creating, false);
    check(Status::Creating, Status::Created, true);
    check(Status::Error, Status::Skipped, false);
    check(Status::Error, Status::Starting, true);
    assert!(news(None, Status::Skipped, ""));
    assert!(news(Some(&(Status::Pulling, "1/2".to_owned())), Status::Pulling, "2/2"));
}

#[test]
fn a_block_shows_each_step_with_its_time() {
    assert_snapshot!(draw(&block(), 80, None), @r"
    [+] up 1/3
     ✔ Network demo_default  Created   0.1s
     ⠹ Container demo-web-1  Waiting   0.2s  demo-db-1 to be healthy
     ⠹ Container demo-db-1   Starting  0.2s
    ");
}

#[test]
fn a_narrow_terminal_cuts_and_a_low_one_shows_what_goes_on() {
    assert_snapshot!(draw(&block(), 36, Some(5)), @r"
    [+] up 1/3
     ⠹ Container de…  Waiting   0.2s
     ⠹ Container de…  Starting  0.2s
       ... and 1 more
    ");
}

#[test]
fn failures_come_first_when_there_is_no_room() {
    let mut block = block();
    let failed = "cannot bind 0.0.0.0:80";
    block.update(&Resource::Container("demo-db-1".into()), Status::Error, failed, Duration::from_millis(200));
    assert_snapshot!(draw(&block, 70, Some(4)), @r"
    [+] up 2/3
     ✘ Container demo-db-1  Error  0.2s  cannot bind 0.0.0.0:80
       ... and 2 more
    ");
}

#[test]
fn piped_progress_is_a_line_for_each_change() {
    let web = Resource::Container("demo-web-1".into());
    assert_eq!(plain(&web, Status::Started, ""), " Container demo-web-1  Started\n");
    assert_eq!(plain(&web, Status::Error, "no memory"), " Container demo-web-1  Error  no memory\n");
    for status in [Status::Starting, Status::Recreating, Status::Skipped, Status::Error] {
        crate::schemas::check("progress", &serde_json::from_str(&json(&web, status, "why")).unwrap());
        crate::schemas::check("progress", &serde_json::from_str(&json(&web, status, "")).unwrap());
    }
    assert_eq!(
        json(&web, Status::Starting, "1"),
        "{\"id\":\"Container demo-web-1\",\"status\":\"Working\",\"text\":\"Starting\",\"details\":\"1\"}\n"
    );
}
