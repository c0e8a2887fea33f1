//! The result of a comparison, for people and for programs.

use serde_json::json;

use super::verdict::{Comparison, LEAST, Samples, Verdict};
use crate::machine::Machine;

/// All that is printed.
pub struct Report {
    /// How the base is called: what was typed, and its commit.
    pub base: String,
    pub head: String,
    pub machine: Machine,
    pub threads: usize,
    pub rounds: u32,
    /// Load of the machine before the first round.
    pub load: Option<f64>,
    pub compared: Vec<Comparison>,
    pub only_base: Vec<String>,
    pub only_head: Vec<String>,
}

impl Report {
    /// Sorts entries into those of both sides and those of one.
    pub fn sort(&mut self, all: Vec<(String, Samples)>) {
        for (name, samples) in all {
            match Comparison::of(&name, &samples) {
                Some(comparison) => self.compared.push(comparison),
                None if samples.head.is_empty() => self.only_base.push(name),
                None => self.only_head.push(name),
            }
        }
    }

    /// Names of the entries that became slower.
    pub fn slower(&self) -> Vec<&str> {
        self.compared.iter().filter(|c| c.verdict == Verdict::Slower).map(|c| c.name.as_str()).collect()
    }

    /// A Markdown table with a sentence before and after it.
    pub fn markdown(&self) -> String {
        let rows: String = self.compared.iter().map(row).collect();
        let one_sided: String = [("the base", &self.only_base), ("head", &self.only_head)]
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(side, names)| format!("\nOnly {side} has: {}.\n", names.join("; ")))
            .collect();
        format!(
            "**{}**\n\n{}\n\n| entry | base | head | head / base (rounds) | noise | verdict |\n|---|---|---|---|---|---|\n{rows}{one_sided}\n{}",
            self.summary(),
            self.conditions(),
            legend()
        )
    }

    fn summary(&self) -> String {
        let count = |verdict| self.compared.iter().filter(|c| c.verdict == verdict).count();
        let (slower, faster) = (count(Verdict::Slower), count(Verdict::Faster));
        let same = count(Verdict::Same);
        format!(
            "{} against {}: {slower} slower, {faster} faster, {same} within the noise",
            self.head, self.base
        )
    }

    fn conditions(&self) -> String {
        let cpu = self.machine.cpu.as_deref().unwrap_or("unknown processor");
        let load = self.load.map(|l| format!(", load {l:.2} at the start")).unwrap_or_default();
        format!("{cpu}, {} threads of {}, {} rounds{load}", self.threads, self.machine.threads, self.rounds)
    }

    /// The same as an object.
    pub fn json(&self) -> serde_json::Value {
        json!({
            "base": self.base, "head": self.head, "machine": self.machine, "threads": self.threads, "rounds": self.rounds,
            "load1": self.load, "least": LEAST, "slower": self.slower(), "only_base": self.only_base, "only_head": self.only_head,
            "entries": self.compared,
        })
    }
}

fn row(c: &Comparison) -> String {
    let verdict = match c.verdict {
        Verdict::Slower => "**slower**",
        Verdict::Faster => "faster",
        Verdict::Same => "same",
    };
    let ratio = format!("{:.3} ({:.3} to {:.3})", c.ratio, c.low, c.high);
    let (base, head) = (time(c.base_secs), time(c.head_secs));
    format!("| {} | {base} | {head} | {ratio} | {:.1} % | {verdict} |\n", cell(&c.name), 100.0 * c.noise)
}

fn legend() -> String {
    format!(
        "Medians; above 1, head is slower. Noise: the largest difference of the base to itself in a round. A difference counts when it is \
         larger than that and than {:.0} %.",
        100.0 * LEAST
    )
}

/// Seconds with a fitting unit.
pub fn time(secs: f64) -> String {
    match secs {
        s if s >= 1.0 => format!("{s:.3} s"),
        s if s >= 1e-3 => format!("{:.3} ms", 1e3 * s),
        s => format!("{:.1} µs", 1e6 * s),
    }
}

/// A text that cannot end its cell.
pub fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let machine = Machine { system: "linux x86_64".into(), cpu: Some("a processor".into()), threads: 4 };
        let mut report = Report {
            base: "main (0123456)".into(),
            head: "89abcde".into(),
            machine,
            threads: 2,
            rounds: 2,
            load: Some(0.5),
            compared: Vec::new(),
            only_base: Vec::new(),
            only_head: Vec::new(),
        };
        let samples =
            |base: f64, head: f64| Samples { base: vec![base; 2], again: vec![base; 2], head: vec![head; 2] };
        let base = Samples { head: Vec::new(), ..samples(1.0, 0.0) };
        let head = Samples { head: vec![1.0; 2], ..Default::default() };
        report.sort(vec![
            ("a|b".into(), samples(0.002, 0.003)),
            ("gone".into(), base),
            ("c".into(), samples(2.0, 2.0)),
            ("new".into(), head),
        ]);
        report
    }

    #[test]
    fn the_table_has_a_row_for_each_entry_of_both_sides() {
        let text = report().markdown();
        assert!(
            text.starts_with(
                "**89abcde against main (0123456): 1 slower, 0 faster, 1 within the noise**\n\n"
            ),
            "{text}"
        );
        assert!(text.contains("a processor, 2 threads of 4, 2 rounds, load 0.50 at the start"), "{text}");
        let row = "\n| a\\|b | 2.000 ms | 3.000 ms | 1.500 (1.500 to 1.500) | 0.0 % | **slower** |\n";
        assert!(text.contains(row), "{text}");
        assert!(
            text.contains("\n| c | 2.000 s | 2.000 s | 1.000 (1.000 to 1.000) | 0.0 % | same |\n"),
            "{text}"
        );
        assert!(text.contains("\n\nOnly the base has: gone.\n"), "{text}");
        assert!(text.contains("\nOnly head has: new.\n"), "{text}");
    }

    #[test]
    fn the_object_holds_all_figures() {
        let json = report().json();
        assert_eq!(json["slower"], json!(["a|b"]));
        assert_eq!((&json["only_base"], &json["only_head"]), (&json!(["gone"]), &json!(["new"])));
        let first = &json["entries"][0];
        assert_eq!((&first["verdict"], &first["ratio"]), (&json!("slower"), &json!(1.5)));
        assert_eq!(first["samples"]["head"], json!([0.003, 0.003]));
    }

    #[test]
    fn seconds_have_fitting_units() {
        assert_eq!([1.5, 0.0015, 0.000_012].map(time), ["1.500 s", "1.500 ms", "12.0 µs"]);
    }
}
