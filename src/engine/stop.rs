//! Stop strings across the edges of tokens. It gives text out only when no stop string can begin in it any
//! more.
//!
//! All stop strings are looked for at once with the automaton of Aho and Corasick ("Efficient string
//! matching", 1975), so the time is linear in the text whatever the strings are.

use std::collections::{HashMap, VecDeque};

/// Looks for stop strings in a text that comes in pieces. The match that begins first wins; of those, the
/// longest.
#[derive(Debug)]
pub(crate) struct StopMatcher {
    nodes: Vec<Node>,
    /// Where the automaton stands.
    state: usize,
    /// Text that was taken and not given out: a stop string may begin in it.
    held: String,
    /// Position of `held` in the text. All positions count a newline before the text, if the text starts a
    /// line.
    held_at: usize,
    /// Bytes of the text so far.
    position: usize,
    /// A complete stop string that an earlier or longer one may still beat: where it begins, and which it is.
    found: Option<(usize, usize)>,
    ended: bool,
}

/// What a piece of text made certain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Matched {
    /// Text before any stop string.
    pub(crate) text: String,
    /// Index of the stop string that ended the text.
    pub(crate) stop: Option<usize>,
}

#[derive(Debug, Default)]
struct Node {
    children: HashMap<u8, usize>,
    /// Node of the longest proper suffix that begins a stop string.
    suffix: usize,
    /// Length of the text that leads here.
    depth: usize,
    /// The longest stop string that ends here: its length and index.
    ends: Option<(usize, usize)>,
    /// Length of the longest suffix of the text that leads here from which a stop string can still grow.
    open: usize,
}

impl StopMatcher {
    /// Builds the automaton. `at_line_start`: a stop string that begins with a newline also matches without
    /// it at the very start of the text (a lone newline does not match nothing). Empty strings never match.
    pub(crate) fn new(stops: &[String], at_line_start: bool) -> Self {
        let mut matcher = Self {
            nodes: vec![Node::default()],
            state: 0,
            held: String::new(),
            held_at: 0,
            position: 0,
            found: None,
            ended: false,
        };
        for (index, stop) in stops.iter().enumerate().filter(|(_, stop)| !stop.is_empty()) {
            matcher.insert(index, stop);
        }
        matcher.link();
        if at_line_start {
            matcher.position = 1;
            matcher.held_at = 1;
            matcher.state = matcher.next(0, b'\n');
        }
        matcher
    }

    /// Takes the next piece of the text.
    pub(crate) fn push(&mut self, text: &str) -> Matched {
        if self.ended {
            return Matched::default();
        }
        self.held.push_str(text);
        for &byte in text.as_bytes() {
            self.state = self.next(self.state, byte);
            self.position += 1;
            if let Some((length, index)) = self.nodes[self.state].ends {
                self.consider(self.position - length, index);
            }
            if let Some((start, index)) = self.found
                && self.open_start().is_none_or(|open| open > start)
            {
                return self.stop_at(start, index);
            }
        }
        let certain =
            self.open_start().unwrap_or(self.position).min(self.found.map_or(usize::MAX, |found| found.0));
        Matched { text: self.release(certain), stop: None }
    }

    /// The end of the text: nothing can grow any more.
    pub(crate) fn finish(&mut self) -> Matched {
        if self.ended {
            return Matched::default();
        }
        if let Some((start, index)) = self.found {
            return self.stop_at(start, index);
        }
        self.ended = true;
        Matched { text: self.release(self.position), stop: None }
    }

    /// Keeps the match that begins first, and of those the longest, which is the last to be complete.
    fn consider(&mut self, start: usize, index: usize) {
        if self.found.is_none_or(|(best, _)| start <= best) {
            self.found = Some((start, index));
        }
    }

    /// Where the earliest stop string begins that may still be completed.
    fn open_start(&self) -> Option<usize> {
        let open = self.nodes[self.state].open;
        (open > 0).then(|| self.position - open)
    }

    fn stop_at(&mut self, start: usize, index: usize) -> Matched {
        self.ended = true;
        let text = self.release(start);
        self.held.clear();
        Matched { text, stop: Some(index) }
    }

    /// Gives out the held text before `end`.
    fn release(&mut self, end: usize) -> String {
        let end = end.max(self.held_at);
        let text = self.held.drain(..end - self.held_at).collect();
        self.held_at = end;
        text
    }

    fn insert(&mut self, index: usize, stop: &str) {
        let mut node = 0;
        for &byte in stop.as_bytes() {
            node = if let Some(&child) = self.nodes[node].children.get(&byte) {
                child
            } else {
                let depth = self.nodes[node].depth + 1;
                let child = self.nodes.len();
                self.nodes.push(Node { depth, ..Node::default() });
                self.nodes[node].children.insert(byte, child);
                child
            };
        }
        self.nodes[node].ends.get_or_insert((stop.len(), index));
    }

    /// Sets the links, nearest to the root first.
    fn link(&mut self) {
        let mut queue = VecDeque::from([0]);
        while let Some(node) = queue.pop_front() {
            let suffix = self.nodes[node].suffix;
            self.nodes[node].open = if self.nodes[node].children.is_empty() {
                self.nodes[suffix].open
            } else {
                self.nodes[node].depth
            };
            self.nodes[node].ends = self.nodes[node].ends.or(self.nodes[suffix].ends);
            let children: Vec<(u8, usize)> =
                self.nodes[node].children.iter().map(|(&byte, &child)| (byte, child)).collect();
            for (byte, child) in children {
                self.nodes[child].suffix = if node == 0 { 0 } else { self.next(suffix, byte) };
                queue.push_back(child);
            }
        }
    }

    fn next(&self, mut node: usize, byte: u8) -> usize {
        loop {
            if let Some(&child) = self.nodes[node].children.get(&byte) {
                return child;
            }
            if node == 0 {
                return 0;
            }
            node = self.nodes[node].suffix;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds the pieces; the texts that came out, and the stop string that ended them.
    fn run(stops: &[&str], at_line_start: bool, pieces: &[&str]) -> (Vec<String>, Option<usize>) {
        let stops: Vec<String> = stops.iter().map(|&stop| stop.to_owned()).collect();
        let mut matcher = StopMatcher::new(&stops, at_line_start);
        let mut texts = Vec::new();
        for piece in pieces {
            let step = matcher.push(piece);
            texts.push(step.text);
            if step.stop.is_some() {
                return (texts, step.stop);
            }
        }
        let last = matcher.finish();
        texts.push(last.text);
        (texts, last.stop)
    }

    fn check(stops: &[&str], pieces: &[&str], texts: &[&str], stop: Option<usize>) {
        assert_eq!(run(stops, false, pieces), (texts.iter().map(|&text| text.to_owned()).collect(), stop));
    }

    #[test]
    fn a_stop_string_is_found_across_pieces() {
        check(&["\n### Input:"], &["Hi\n#", "## In", "put: x"], &["Hi", "", ""], Some(0));
    }

    #[test]
    fn held_text_comes_when_it_is_no_stop_string() {
        check(&["\n### Input:"], &["Hi\n#", "1 is it"], &["Hi", "\n#1 is it", ""], None);
    }

    #[test]
    fn held_text_comes_at_the_end() {
        check(&["\nBob:"], &["Hi\nBob"], &["Hi", "\nBob"], None);
    }

    #[test]
    fn the_earliest_match_wins_even_when_a_later_one_is_complete_before_it() {
        check(&["b", "abc"], &["xab", "c"], &["x", ""], Some(1));
        check(&["b", "abc"], &["xab", "d"], &["x", "a"], Some(0));
        check(&["b", "abc"], &["xab"], &["x", "a"], Some(0));
    }

    #[test]
    fn of_matches_at_one_place_the_longest_wins() {
        check(&["ab", "abc"], &["ab", "c"], &["", ""], Some(1));
        check(&["ab", "abc"], &["abd"], &[""], Some(0));
    }

    #[test]
    fn the_newline_may_be_missing_at_the_start_of_a_line_only() {
        let at_start = |pieces: &[&str]| run(&["\nBob:", "\n"], true, pieces);
        assert_eq!(at_start(&["Bo", "b: x"]), (vec![String::new(); 2], Some(0)));
        assert_eq!(at_start(&["x Bob:"]), (vec!["x Bob:".to_owned(), String::new()], None));
        assert_eq!(at_start(&["Bill\n"]), (vec!["Bill".to_owned(), String::new()], Some(1)));
        assert_eq!(run(&["\nBob:"], false, &["Bob:"]), (vec!["Bob:".to_owned(), String::new()], None));
    }

    #[test]
    fn nothing_comes_after_a_stop_string() {
        let mut matcher = StopMatcher::new(&["x".to_owned()], false);
        assert_eq!(matcher.push("axb"), Matched { text: "a".to_owned(), stop: Some(0) });
        assert_eq!(matcher.push("c"), Matched::default());
        assert_eq!(matcher.finish(), Matched::default());
    }

    /// The rule, written down without regard to time: first start, then length, then order.
    fn oracle(stops: &[String], at_line_start: bool, text: &str) -> (String, Option<usize>) {
        let mut best: Option<(usize, usize, usize)> = None;
        for (index, stop) in stops.iter().enumerate() {
            let mut places: Vec<(usize, usize)> =
                text.match_indices(stop.as_str()).map(|(at, found)| (at, found.len())).collect();
            if let (true, Some(rest)) = (at_line_start, stop.strip_prefix('\n'))
                && !rest.is_empty()
                && text.starts_with(rest)
            {
                places.push((0, rest.len()));
            }
            for (at, length) in places {
                if best.is_none_or(|(start, longest, _)| at < start || (at == start && length > longest)) {
                    best = Some((at, length, index));
                }
            }
        }
        match best {
            Some((at, _, index)) => (text[..at].to_owned(), Some(index)),
            None => (text.to_owned(), None),
        }
    }

    proptest! {
        #[test]
        fn the_result_is_the_rules_however_the_text_is_cut(
            stops in prop::collection::btree_set("[ab\né]{1,4}", 0..5),
            pieces in prop::collection::vec("[ab\né]{0,3}", 0..12),
            at_line_start in any::<bool>(),
        ) {
            let stops: Vec<String> = stops.into_iter().collect();
            // With and without its newline, two strings may be equal at the start; which is reported is open.
            let plain: Vec<&str> = stops.iter().map(String::as_str).collect();
            let parts: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let (texts, stop) = run(&plain, at_line_start, &parts);
            let (text, expected) = oracle(&stops, at_line_start, &pieces.concat());
            prop_assert_eq!(texts.concat(), text);
            prop_assert_eq!(stop.is_some(), expected.is_some());
            if !at_line_start {
                prop_assert_eq!(stop, expected);
            }
        }

        #[test]
        fn text_is_held_only_while_a_stop_string_may_begin_in_it(
            pieces in prop::collection::vec("[ab\n]{0,3}", 0..12),
        ) {
            let stop = "\nab".to_owned();
            let mut matcher = StopMatcher::new(std::slice::from_ref(&stop), false);
            let mut taken = String::new();
            let mut given = String::new();
            for piece in pieces {
                taken.push_str(&piece);
                let step = matcher.push(&piece);
                given.push_str(&step.text);
                if step.stop.is_some() {
                    break;
                }
                let held = taken.strip_prefix(given.as_str()).expect("text comes in order");
                prop_assert!(stop.starts_with(held) && held != stop);
            }
        }
    }
}
