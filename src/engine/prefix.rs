//! The prefix tree: computed pages by the tokens that stand before and in them, so that what is equal is computed
//! once. Sharing is by equality of tokens and by nothing else.
//!
//! A node is a page; the path from the root to it is the text before. Only leaves have fewer than [`PAGE`] tokens:
//! they are the ends of histories and of personas, and whoever matches a part of a page gets a copy of that part.

use super::pages::{PAGE, Page, Pages};

/// A node of the tree, while it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeId {
    slot: usize,
    /// Tells the nodes apart that had this slot one after the other.
    birth: u64,
}

#[derive(Debug)]
struct Node {
    birth: u64,
    tokens: Vec<u32>,
    page: Page,
    parent: Option<usize>,
    children: Vec<usize>,
    /// When it was used last, in uses of the tree.
    used: u64,
    /// The same for every conversation with its persona: kept longer, and nobody's in particular.
    pinned: bool,
    /// The conversations whose text it is.
    owners: Vec<u64>,
}

/// The longest computed beginning of a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Match {
    /// Whole pages. The caller has become a user of each.
    pub(crate) pages: Vec<Page>,
    /// A page whose first so many tokens go on where the whole pages end. To be copied at once: the caller is no
    /// user of it.
    pub(crate) partial: Option<(Page, usize)>,
    /// The node of the last whole page.
    pub(crate) at: Option<NodeId>,
}

impl Match {
    /// Number of tokens that need not be computed.
    pub(crate) fn tokens(&self) -> usize {
        self.pages.len() * PAGE + self.partial.map_or(0, |(_, tokens)| tokens)
    }
}

/// The tree. It is one user of each of its pages.
#[derive(Debug, Default)]
pub(crate) struct Prefixes {
    nodes: Vec<Option<Node>>,
    vacant: Vec<usize>,
    roots: Vec<usize>,
    clock: u64,
    pinned: usize,
}

impl Prefixes {
    /// Finds the longest computed beginning of `tokens` for a conversation.
    pub(crate) fn find(&mut self, tokens: &[u32], conversation: u64, pages: &mut Pages) -> Match {
        self.clock += 1;
        let mut found = Match { pages: Vec::new(), partial: None, at: None };
        let mut at = None;
        let mut rest = tokens;
        while let Some((slot, common)) = self.nearest_child(at, rest) {
            // Who shares the beginning of a page has no part in the rest of its text.
            let whole = common == self.node(slot).tokens.len();
            self.touch(slot, whole.then_some(conversation));
            let page = self.node(slot).page;
            if common < PAGE {
                found.partial = Some((page, common));
                break;
            }
            pages.share(page);
            found.pages.push(page);
            at = Some(slot);
            rest = &rest[PAGE..];
        }
        found.at = at.map(|slot| self.id(slot));
        found
    }

    /// Keeps a page whose computed tokens stand after the node `parent` (at the beginning for `None`). The tree
    /// becomes a user of the page, unless it has these tokens there already. Returns the node of the tokens, or
    /// `None` when the parent is gone.
    pub(crate) fn insert(
        &mut self,
        parent: Option<NodeId>,
        tokens: &[u32],
        page: Page,
        owner: Owner,
        pages: &mut Pages,
    ) -> Option<NodeId> {
        debug_assert!(!tokens.is_empty() && tokens.len() <= PAGE, "a page has 1 to {PAGE} tokens");
        self.clock += 1;
        let parent = match parent {
            None => None,
            Some(id) => Some(self.slot(id)?),
        };
        let children = self.children(parent).to_vec();
        if let Some(&slot) = children.iter().find(|&&slot| self.node(slot).tokens == tokens) {
            self.claim(slot, owner, pages);
            return Some(self.id(slot));
        }
        let longer = children.iter().find(|&&slot| self.node(slot).tokens.starts_with(tokens));
        if let (Some(&slot), Owner::Conversation(_)) = (longer, owner) {
            // The rest of that page is somebody else's text, and so it stays theirs.
            self.touch(slot, None);
            return Some(self.id(slot));
        }
        // What begins like this and ends earlier is of no use any more, but for a persona's part.
        for shorter in children {
            let node = self.node(shorter);
            let dispensable = !node.pinned || owner == Owner::Persona;
            if dispensable && node.children.is_empty() && tokens.starts_with(&node.tokens) {
                self.remove(shorter, pages);
            }
        }
        pages.share(page);
        let node = Node {
            birth: self.clock,
            tokens: tokens.to_vec(),
            page,
            parent,
            children: Vec::new(),
            used: self.clock,
            pinned: false,
            owners: Vec::new(),
        };
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.nodes.push(None);
            self.nodes.len() - 1
        });
        self.nodes[slot] = Some(node);
        self.siblings(parent).push(slot);
        self.claim(slot, owner, pages);
        Some(self.id(slot))
    }

    /// Gives back the page that was used longest ago and that nobody else uses; pinned ones when there are no others.
    /// Returns whether there was one.
    pub(crate) fn evict(&mut self, pages: &mut Pages) -> bool {
        let oldest = self
            .slots()
            .filter(|&slot| self.node(slot).children.is_empty() && pages.users(self.node(slot).page) == 1)
            .min_by_key(|&slot| (self.node(slot).pinned, self.node(slot).used));
        if let Some(slot) = oldest {
            self.remove(slot, pages);
        }
        oldest.is_some()
    }

    /// Number of pages that [`Prefixes::evict`] could give back one after the other.
    pub(crate) fn evictable(&self, pages: &Pages) -> usize {
        // A page that others use keeps its ancestors.
        let mut kept = vec![false; self.nodes.len()];
        for slot in self.slots().filter(|&slot| pages.users(self.node(slot).page) > 1) {
            let mut at = Some(slot);
            while let Some(slot) = at.filter(|&slot| !kept[slot]) {
                kept[slot] = true;
                at = self.node(slot).parent;
            }
        }
        self.slots().filter(|&slot| !kept[slot]).count()
    }

    /// Drops what belongs to this conversation alone.
    pub(crate) fn forget(&mut self, conversation: u64, pages: &mut Pages) {
        let mut own: Vec<usize> = self.slots().collect();
        own.retain(|&slot| {
            let node = self.node_mut(slot);
            let owners = node.owners.len();
            node.owners.retain(|owner| *owner != conversation);
            node.owners.len() < owners && node.owners.is_empty() && !node.pinned
        });
        // From the leaves on: what others have after it they have read too.
        loop {
            let before = own.len();
            own.retain(|&slot| {
                let is_leaf = self.node(slot).children.is_empty();
                if is_leaf {
                    self.remove(slot, pages);
                }
                !is_leaf
            });
            if own.len() == before {
                return;
            }
        }
    }

    /// A conversation's text goes on with this node.
    pub(crate) fn join(&mut self, id: NodeId, conversation: u64) {
        self.clock += 1;
        if let Some(slot) = self.slot(id) {
            self.touch(slot, Some(conversation));
        }
    }

    /// The page of a node that is still there.
    pub(crate) fn page(&self, id: NodeId) -> Option<Page> {
        self.slot(id).map(|slot| self.node(slot).page)
    }

    /// The node after another (at the beginning for `None`) that has exactly these tokens, with its page.
    pub(crate) fn next(&self, parent: Option<NodeId>, tokens: &[u32]) -> Option<(NodeId, Page)> {
        let parent = match parent {
            None => None,
            Some(id) => Some(self.slot(id)?),
        };
        let found = self.children(parent).iter().find(|&&slot| self.node(slot).tokens == tokens)?;
        Some((self.id(*found), self.node(*found).page))
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self, pages: &mut Pages) {
        for root in self.roots.clone() {
            self.remove_branch(root, pages);
        }
    }

    /// Number of pages that the tree uses.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.slots().count()
    }

    fn slots(&self) -> impl Iterator<Item = usize> + '_ {
        self.nodes.iter().enumerate().filter_map(|(slot, node)| node.as_ref().map(|_| slot))
    }

    /// The node in a slot that is known to have one.
    fn node(&self, slot: usize) -> &Node {
        self.nodes[slot].as_ref().expect("the slot has a node")
    }

    fn node_mut(&mut self, slot: usize) -> &mut Node {
        self.nodes[slot].as_mut().expect("the slot has a node")
    }

    fn id(&self, slot: usize) -> NodeId {
        NodeId { slot, birth: self.node(slot).birth }
    }

    fn slot(&self, id: NodeId) -> Option<usize> {
        self.nodes[id.slot].as_ref().filter(|node| node.birth == id.birth).map(|_| id.slot)
    }

    fn children(&self, parent: Option<usize>) -> &[usize] {
        parent.map_or(&self.roots, |parent| &self.node(parent).children)
    }

    fn siblings(&mut self, parent: Option<usize>) -> &mut Vec<usize> {
        match parent {
            None => &mut self.roots,
            Some(parent) => &mut self.node_mut(parent).children,
        }
    }

    /// The child that has the most tokens in common with the text, if any has one, and how many.
    fn nearest_child(&self, parent: Option<usize>, text: &[u32]) -> Option<(usize, usize)> {
        let common =
            |slot: usize| self.node(slot).tokens.iter().zip(text).take_while(|(a, b)| a == b).count();
        let with_length = self.children(parent).iter().map(|&slot| (slot, common(slot)));
        with_length.filter(|(_, common)| *common > 0).max_by_key(|(_, common)| *common)
    }

    fn touch(&mut self, slot: usize, owner: Option<u64>) {
        let clock = self.clock;
        let node = self.node_mut(slot);
        node.used = clock;
        if let Some(owner) = owner
            && !node.pinned
            && !node.owners.contains(&owner)
        {
            node.owners.push(owner);
        }
    }

    /// Notes whose text the node is.
    fn claim(&mut self, slot: usize, owner: Owner, pages: &Pages) {
        match owner {
            Owner::Conversation(conversation) => self.touch(slot, Some(conversation)),
            Owner::Persona => {
                let clock = self.clock;
                let node = self.node_mut(slot);
                node.used = clock;
                if !std::mem::replace(&mut node.pinned, true) {
                    node.owners.clear();
                    self.pinned += 1;
                    self.unpin_the_oldest(pages.total() / 2);
                }
            }
        }
    }

    /// Personas may have a part of the memory, and no more.
    fn unpin_the_oldest(&mut self, most: usize) {
        if self.pinned > most {
            // A page is of no use without those before it, so the ends of personas go first.
            let pinned = self.slots().filter(|&slot| {
                let node = self.node(slot);
                node.pinned && !node.children.iter().any(|&child| self.node(child).pinned)
            });
            if let Some(oldest) = pinned.min_by_key(|&slot| self.node(slot).used) {
                self.node_mut(oldest).pinned = false;
                self.pinned -= 1;
            }
        }
    }

    fn remove_branch(&mut self, slot: usize, pages: &mut Pages) {
        for child in self.node(slot).children.clone() {
            self.remove_branch(child, pages);
        }
        self.remove(slot, pages);
    }

    /// Removes a leaf.
    fn remove(&mut self, slot: usize, pages: &mut Pages) {
        let node = self.nodes[slot].take().expect("the slot has a node");
        debug_assert!(node.children.is_empty(), "only leaves are removed");
        self.siblings(node.parent).retain(|sibling| *sibling != slot);
        self.pinned -= usize::from(node.pinned);
        self.vacant.push(slot);
        pages.release(node.page);
    }
}

/// Whose text a page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A persona's part, which is the same in every conversation and contains no member's words.
    Persona,
    /// A conversation's.
    Conversation(u64),
}

#[cfg(test)]
mod tests {
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
            let found = self.tree.find(text, conversation, &mut self.pages);
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
        setting.tree.join(first, 2);
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
        let found = setting.tree.find(&text(1, 32), 1, &mut setting.pages);
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
}
