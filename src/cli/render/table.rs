//! Tables: columns as wide as their widest cell, three spaces between them, at least ten wide,
//! as Docker draws them.

use unicode_width::UnicodeWidthStr as _;

const GAP: usize = 3;
const MINIMUM: usize = 10;

/// Returns the table, a line feed after each row.
pub(crate) fn draw(headers: &[&str], rows: &[Vec<String>]) -> String {
    draw_wide(headers, rows, MINIMUM)
}

/// Returns the table with columns of another width at least.
pub(crate) fn draw_wide(headers: &[&str], rows: &[Vec<String>], minimum: usize) -> String {
    let widths: Vec<usize> = headers
        .iter()
        .enumerate()
        .map(|(column, header)| {
            let widest = rows.iter().filter_map(|r| r.get(column)).map(|c| c.width()).max().unwrap_or(0);
            (widest.max(header.width()) + GAP).max(minimum)
        })
        .collect();
    let mut text = String::new();
    let headers: Vec<String> = headers.iter().map(|&h| h.to_owned()).collect();
    for row in std::iter::once(&headers).chain(rows) {
        for (column, cell) in row.iter().enumerate() {
            text.push_str(cell);
            if column + 1 < row.len() {
                text.extend(std::iter::repeat_n(' ', widths[column] - cell.width()));
            }
        }
        text.push('\n');
    }
    text
}

/// Returns text cut to a width, with an ellipsis where something was cut off.
pub(crate) fn truncate(text: &str, width: usize) -> String {
    use unicode_width::UnicodeWidthChar as _;
    if text.width() <= width {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used + 1 > width {
            break;
        }
        cut.push(c);
    }
    if width > 0 {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_by_the_width_on_screen() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let text =
            draw(&["NAME", "IMAGE", "PORTS"], &[row(["a-very-long-name", "redis", ""]), row(["数据", "x", "80/tcp"])]);
        let expected = "NAME               IMAGE     PORTS\n\
                        a-very-long-name   redis     \n\
                        数据               x         80/tcp\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn cut_text_says_so() {
        assert_eq!(truncate("redis-server", 20), "redis-server");
        assert_eq!(truncate("docker-entrypoint.sh redis-server", 20), "docker-entrypoint.s…");
        assert_eq!(truncate("数据库", 5), "数据…");
        assert_eq!(truncate("abc", 0), "");
    }
}
