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
    /// Pages that were given back for others.
    #[cfg(test)]
    pub(crate) evicted: usize,
}

impl Prefixes {
    /// Finds the longest computed beginning of `tokens`, of which those before a position are its owner's.
    pub(crate) fn find(
        &mut self,
        tokens: &[u32],
        owner: impl Fn(usize) -> Owner,
        pages: &mut Pages,
    ) -> Match {
        self.clock += 1;
        let mut found = Match { pages: Vec::new(), partial: None, at: None };
        let mut at = None;
        let mut rest = tokens;
        while let Some((slot, common)) = self.nearest_child(at, rest) {
            if common == self.node(slot).tokens.len() {
                self.claim(slot, owner(tokens.len() - rest.len() + common), pages);
            } else {
                // Who shares the beginning of a page has no part in the rest of its text.
                self.touch(slot, None);
            }
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
            #[cfg(test)]
            let () = self.evicted += 1;
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

    /// A text of this owner goes on with this node.
    pub(crate) fn join(&mut self, id: NodeId, owner: Owner, pages: &Pages) {
        self.clock += 1;
        if let Some(slot) = self.slot(id) {
            self.claim(slot, owner, pages);
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
mod tests;
