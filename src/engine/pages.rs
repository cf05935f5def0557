//! Pages of the key-value cache: which are free, and how many use each of the others. It stores no numbers.

/// Tokens whose keys and values one page holds.
pub(crate) const PAGE: usize = 32;

/// One page, the same number in every layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Page(u32);

impl Page {
    /// Number of the page, from 0.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Number of pages that hold so many tokens.
pub(crate) fn pages_for(tokens: usize) -> usize {
    tokens.div_ceil(PAGE)
}

/// Counts the users of every page.
#[derive(Debug)]
pub(crate) struct Pages {
    users: Vec<u32>,
    /// The page that was given back last is taken first: memory that was never touched stays untouched.
    free: Vec<Page>,
}

impl Pages {
    pub(crate) fn new(count: usize) -> Self {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Self { users: vec![0; count as usize], free: (0..count).rev().map(Page).collect() }
    }

    /// Number of all pages.
    pub(crate) fn total(&self) -> usize {
        self.users.len()
    }

    /// Number of pages that nobody uses.
    pub(crate) fn free(&self) -> usize {
        self.free.len()
    }

    /// A page that nobody used, with one user now.
    pub(crate) fn take(&mut self) -> Option<Page> {
        let page = self.free.pop()?;
        self.users[page.index()] = 1;
        Some(page)
    }

    /// One more user.
    pub(crate) fn share(&mut self, page: Page) {
        debug_assert!(self.users[page.index()] > 0, "a free page cannot be shared");
        self.users[page.index()] += 1;
    }

    /// One user less; without any the page is free.
    pub(crate) fn release(&mut self, page: Page) {
        let users = &mut self.users[page.index()];
        debug_assert!(*users > 0, "a free page cannot be released");
        *users -= 1;
        if *users == 0 {
            self.free.push(page);
        }
    }

    /// Number of users.
    pub(crate) fn users(&self, page: Page) -> u32 {
        self.users[page.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_free_again_when_its_last_user_goes() {
        let mut pages = Pages::new(2);
        let page = pages.take().expect("there are two");
        pages.share(page);
        pages.release(page);
        assert_eq!((pages.users(page), pages.free()), (1, 1));
        pages.release(page);
        assert_eq!((pages.users(page), pages.free()), (0, 2));
        assert_eq!(pages.take(), Some(page));
    }

    #[test]
    fn there_are_no_more_than_there_are() {
        let mut pages = Pages::new(2);
        assert!(pages.take().is_some() && pages.take().is_some() && pages.take().is_none());
        assert_eq!(pages.total(), 2);
    }

    #[test]
    fn a_started_page_counts() {
        assert_eq!([0, 1, PAGE, PAGE + 1].map(pages_for), [0, 1, 1, 2]);
    }
}
