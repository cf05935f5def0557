//! What is shared, what is evicted, and that no page is lost.

use super::*;

const ALICE: Owner = Owner::Conversation(1);

struct Setting {
    pages: Pages,
    tree: Prefixes,
}

impl Setting {
    fn new(pages: usize) -> Self {
        Self { pages: Pages::new(pages), tree: Prefixes::default() }
    }

    /// Computes a text and keeps all of it, as a sequence does that ends at once.
    fn keep(&mut self, text: &[u32], owner: Owner) {
        let mut at = None;
        for tokens in text.chunks(PAGE) {
            let page = self.pages.take().expect("there is a page");
            at = self.tree.insert(at, tokens, page, owner, &mut self.pages);
            self.pages.release(page);
        }
    }

    /// Number of tokens of the text that are computed.
    fn known(&mut self, text: &[u32], conversation: u64) -> usize {
        let found = self.tree.find(text, |_| Owner::Conversation(conversation), &mut self.pages);
        found.pages.iter().for_each(|&page| self.pages.release(page));
        found.tokens()
    }
}

fn text(seed: u32, length: u32) -> Vec<u32> {
    (0..length).map(|at| seed * 1_000 + at).collect()
}

#[test]
fn what_was_computed_is_found_token_by_token() {
    let mut setting = Setting::new(8);
    setting.keep(&text(1, 70), ALICE);
    for length in [0, 1, 31, 32, 33, 64, 69, 70] {
        assert_eq!(setting.known(&text(1, length), 1), length as usize);
    }
    assert_eq!(setting.known(&text(1, 90), 1), 70);
    assert_eq!(setting.known(&text(2, 90), 1), 0);
    let mut other = text(1, 70);
    other[40] = 9;
    assert_eq!(setting.known(&other, 1), 40);
}

#[test]
fn equal_text_is_kept_once_and_a_longer_page_takes_the_place_of_a_shorter_one() {
    let mut setting = Setting::new(8);
    setting.keep(&text(1, 40), ALICE);
    setting.keep(&text(1, 40), ALICE);
    setting.keep(&text(1, 50), ALICE);
    setting.keep(&text(1, 45), ALICE);
    assert_eq!((setting.tree.len(), setting.pages.free()), (2, 6));
    assert_eq!(setting.known(&text(1, 60), 1), 50);
}

#[test]
fn what_another_has_read_too_stays_when_one_is_forgotten() {
    let mut setting = Setting::new(8);
    setting.keep(&text(1, 64), ALICE);
    let first = setting.tree.next(None, &text(1, 32)).expect("it is there").0;
    let second = setting.tree.next(Some(first), &text(1, 64)[32..]).expect("it is there").0;
    // Bob has taken over the first page while he read, and goes on after it by himself.
    setting.tree.join(first, Owner::Conversation(2), &setting.pages);
    let page = setting.pages.take().expect("there is a page");
    let bob = Owner::Conversation(2);
    setting.tree.insert(Some(first), &text(2, 32), page, bob, &mut setting.pages);
    setting.pages.release(page);
    setting.tree.forget(1, &mut setting.pages);
    assert!(setting.tree.page(first).is_some() && setting.tree.page(second).is_none());
    setting.tree.forget(2, &mut setting.pages);
    assert_eq!((setting.tree.len(), setting.pages.free()), (0, 8));
}

#[test]
fn the_least_recently_used_end_goes_first_and_personas_last() {
    let mut setting = Setting::new(4);
    setting.keep(&text(1, 32), Owner::Persona);
    setting.keep(&text(2, 64), ALICE);
    setting.keep(&text(3, 32), ALICE);
    setting.known(&text(2, 64), 1);
    for (known, expected) in [([32, 64, 0], 1), ([32, 32, 0], 2), ([32, 0, 0], 3), ([0, 0, 0], 4)] {
        assert!(setting.tree.evict(&mut setting.pages));
        assert_eq!(setting.pages.free(), expected);
        // Looking changes the order of use, so the second text is looked at last.
        let found = [1, 3, 2].map(|seed| setting.known(&text(seed, 64), 1));
        assert_eq!([found[0], found[2], found[1]], known);
    }
    assert!(!setting.tree.evict(&mut setting.pages));
}

#[test]
fn what_somebody_uses_is_not_evicted() {
    let mut setting = Setting::new(4);
    setting.keep(&text(1, 64), ALICE);
    let found = setting.tree.find(&text(1, 32), |_| ALICE, &mut setting.pages);
    assert_eq!(setting.tree.evictable(&setting.pages), 1);
    assert!(setting.tree.evict(&mut setting.pages) && !setting.tree.evict(&mut setting.pages));
    found.pages.iter().for_each(|&page| setting.pages.release(page));
    assert!(setting.tree.evict(&mut setting.pages));
}

#[test]
fn forgetting_drops_what_was_one_conversation_s_alone() {
    let mut setting = Setting::new(8);
    setting.keep(&text(1, 32), Owner::Persona);
    let mut private = text(1, 32);
    private.extend(text(2, 40));
    setting.keep(&private, ALICE);
    assert_eq!(setting.known(&private[..64], 2), 64);
    setting.tree.forget(1, &mut setting.pages);
    assert_eq!(setting.known(&private, 3), 64);
    setting.tree.forget(2, &mut setting.pages);
    setting.tree.forget(3, &mut setting.pages);
    assert_eq!(setting.known(&private, 4), 32);
    assert_eq!(setting.pages.free(), 7);
}

#[test]
fn personas_have_at_most_half_of_the_memory_to_themselves() {
    let mut setting = Setting::new(4);
    for seed in 1..=3 {
        setting.keep(&text(seed, 32), Owner::Persona);
    }
    setting.keep(&text(4, 32), ALICE);
    // The first persona is no better than a conversation now, and it was used before that.
    assert!(setting.tree.evict(&mut setting.pages) && setting.tree.evict(&mut setting.pages));
    assert_eq!([1, 2, 3, 4].map(|seed| setting.known(&text(seed, 32), 1)), [0, 32, 32, 0]);
}

#[test]
fn a_persona_s_end_and_a_history_that_goes_on_from_it_are_two() {
    let mut setting = Setting::new(8);
    setting.keep(&text(1, 10), Owner::Persona);
    setting.keep(&text(1, 32), ALICE);
    assert_eq!(setting.tree.len(), 2);
    setting.tree.forget(1, &mut setting.pages);
    assert_eq!(setting.known(&text(1, 32), 2), 10);
    // The other way round.
    let mut setting = Setting::new(8);
    setting.keep(&text(1, 32), ALICE);
    setting.keep(&text(1, 10), Owner::Persona);
    setting.keep(&text(1, 5), Owner::Conversation(2));
    assert_eq!(setting.tree.len(), 2);
    setting.tree.forget(1, &mut setting.pages);
    assert_eq!(setting.known(&text(1, 32), 3), 10);
}

#[test]
fn whoever_shares_a_beginning_has_no_part_in_the_rest() {
    let mut setting = Setting::new(8);
    setting.keep(&text(1, 32), ALICE);
    assert_eq!(setting.known(&text(1, 5), 2), 5);
    setting.tree.forget(1, &mut setting.pages);
    assert_eq!((setting.known(&text(1, 32), 2), setting.pages.free()), (0, 8));
}

#[test]
fn a_persona_that_lost_its_place_gets_it_back_when_it_is_used() {
    let mut setting = Setting::new(4);
    let (first, second) = (text(1, 64), text(2, 32));
    setting.keep(&first, Owner::Persona);
    // Half of the pages may be personas'.
    setting.keep(&second, Owner::Persona);
    let pinned = |setting: &Setting| setting.tree.pinned;
    assert_eq!(pinned(&setting), 2);
    let owner = |end| if end <= 64 { Owner::Persona } else { ALICE };
    let found = setting.tree.find(&text(1, 70), owner, &mut setting.pages);
    found.pages.iter().for_each(|&page| setting.pages.release(page));
    assert_eq!((found.tokens(), pinned(&setting)), (64, 2));
    setting.tree.forget(1, &mut setting.pages);
    assert_eq!(setting.known(&first, 2), 64);
    // Now the other one is nobody's, and goes first.
    assert!(setting.tree.evict(&mut setting.pages));
    assert_eq!([setting.known(&second, 2), setting.known(&first, 2)], [0, 64]);
}

#[test]
fn everything_can_be_dropped() {
    let mut setting = Setting::new(8);
    setting.keep(&text(1, 70), Owner::Persona);
    setting.keep(&text(2, 70), ALICE);
    setting.tree.clear(&mut setting.pages);
    assert_eq!((setting.tree.len(), setting.pages.free()), (0, 8));
    assert!(!setting.tree.evict(&mut setting.pages));
}

#[test]
fn nothing_is_put_after_a_node_that_is_gone() {
    let mut setting = Setting::new(4);
    let page = setting.pages.take().expect("there is a page");
    let node = setting.tree.insert(None, &text(1, 32), page, ALICE, &mut setting.pages);
    setting.pages.release(page);
    assert!(node.and_then(|node| setting.tree.page(node)).is_some());
    assert!(setting.tree.evict(&mut setting.pages));
    let page = setting.pages.take().expect("there is a page");
    assert_eq!(setting.tree.insert(node, &text(2, 32), page, ALICE, &mut setting.pages), None);
    assert_eq!(setting.pages.users(page), 1);
}
