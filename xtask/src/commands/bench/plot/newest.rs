//! What of the recorded results is shown.

use super::super::history::Line;

/// The newest result of each entry, all of one machine.
#[derive(Debug, Default, PartialEq)]
pub struct Newest<'a> {
    /// In the order in which the newest recording has them.
    pub rows: Vec<Row<'a>>,
    /// Lines of other machines or numbers of threads.
    pub other_machines: usize,
}

/// An entry.
#[derive(Debug, PartialEq)]
pub struct Row<'a> {
    pub now: &'a Line,
    /// The newest earlier result.
    pub before: Option<&'a Line>,
}

impl<'a> Newest<'a> {
    /// Chooses the machine of the newest line, and its results.
    pub fn of(lines: &'a [Line]) -> Self {
        // Merged branches may mix the order of lines; of equal dates the later line counts.
        let mut sorted: Vec<&Line> = lines.iter().collect();
        sorted.sort_by(|a, b| a.date.cmp(&b.date));
        let Some(last) = sorted.last().copied() else { return Self::default() };
        let total = sorted.len();
        sorted.retain(|l| l.is_comparable(last));
        let mut rows: Vec<Row> = Vec::new();
        for line in &sorted {
            match rows.iter_mut().find(|r| r.now.entry == line.entry) {
                Some(row) => *row = Row { now: line, before: Some(row.now) },
                None => rows.push(Row { now: line, before: None }),
            }
        }
        // Entries that are no longer measured go last.
        rows.sort_by(|a, b| b.now.date.cmp(&a.now.date));
        Self { rows, other_machines: total - sorted.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::history::VERSION;
    use super::*;

    fn line(date: &str, entry: &str, threads: usize) -> Line {
        let json = serde_json::json!({
            "version": VERSION, "date": date, "revision": null, "cpu": null, "cores": 8, "load": null, "threads": threads,
            "entry": entry, "secs": 1.0,
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn the_newest_of_each_entry_is_shown_with_the_one_before() {
        let lines =
            [line("3", "b", 2), line("1", "a", 2), line("2", "a", 1), line("3", "a", 2), line("1", "c", 2)];
        let newest = Newest::of(&lines);
        let shown: Vec<(&str, &str)> =
            newest.rows.iter().map(|r| (r.now.entry.as_str(), r.now.date.as_str())).collect();
        assert_eq!(newest.other_machines, 1);
        assert_eq!(shown[2], ("c", "1"));
        assert!(shown[..2].contains(&("a", "3")) && shown[..2].contains(&("b", "3")), "{shown:?}");
        let before = |entry: &str| newest.rows.iter().find(|r| r.now.entry == entry).unwrap().before;
        assert_eq!((before("a"), before("b")), (Some(&lines[1]), None));
    }

    #[test]
    fn nothing_is_shown_of_nothing() {
        assert_eq!(Newest::of(&[]), Newest::default());
    }
}
