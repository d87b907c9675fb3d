//! Pages of lists.

use prost::Message;

use crate::domain::refusal::Refusal;

/// Items of a page where the caller says nothing.
const DEFAULT_SIZE: usize = 50;

/// Most items of a page.
const MAX_SIZE: usize = 1_000;

/// Bytes behind which a page ends early; peers take messages of 4 MiB.
const PAGE_BYTES: usize = 1 << 20;

/// How much of a list is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    size: usize,
}

impl Page {
    /// Reads a page size: 0 means 50, and 1,000 is the most.
    pub(super) fn of(size: i32) -> Result<Self, Refusal> {
        match usize::try_from(size) {
            Ok(0) => Ok(Self { size: DEFAULT_SIZE }),
            Ok(size) => Ok(Self { size: size.min(MAX_SIZE) }),
            Err(_) => Err(Refusal::field("page_size", "must not be negative")),
        }
    }

    /// Items to look for: one more than are shown, which tells whether there is another page.
    pub(super) fn limit(self) -> u64 {
        self.size as u64 + 1
    }

    /// Converts as many items as the page holds; gives the token of the next page, which is empty on the
    /// last. `token` makes it of the last item and how many there are.
    pub(super) fn cut<T, M: Message>(
        self,
        items: Vec<T>,
        convert: impl Fn(T) -> M,
        token: impl Fn(&T, usize) -> String,
    ) -> (Vec<M>, String) {
        self.cut_from(items, false, convert, token)
    }

    /// As [`Page::cut`], of items behind which there may be `more` however few they are.
    pub(super) fn cut_from<T, M: Message>(
        self,
        items: Vec<T>,
        more: bool,
        convert: impl Fn(T) -> M,
        token: impl Fn(&T, usize) -> String,
    ) -> (Vec<M>, String) {
        let (mut page, mut bytes) = (Vec::with_capacity(items.len().min(self.size)), 0);
        let mut next = String::new();
        for item in items {
            if page.len() == self.size || bytes > PAGE_BYTES {
                return (page, next);
            }
            next = token(&item, page.len() + 1);
            let message = convert(item);
            bytes += message.encoded_len();
            page.push(message);
        }
        (page, if more { next } else { String::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(size: i32, items: Vec<String>) -> (usize, String) {
        let page = Page::of(size).expect("good");
        let (page, next) = page.cut(items, |item| item, |item, count| format!("{count}:{}", item.len()));
        (page.len(), next)
    }

    #[test]
    fn a_page_ends_by_number_or_by_bytes() {
        assert_eq!(cut(2, vec!["a".to_owned(); 2]), (2, String::new()), "the last page has no token");
        assert_eq!(cut(2, vec!["a".to_owned(); 3]), (2, "2:1".to_owned()));
        assert_eq!(cut(0, vec![String::new(); 51]), (50, "50:0".to_owned()));
        assert_eq!(cut(9, vec!["a".repeat(PAGE_BYTES); 3]), (1, format!("1:{PAGE_BYTES}")));
        assert_eq!(cut(9, vec!["a".repeat(PAGE_BYTES)]), (1, String::new()), "one item always");
        assert_eq!(cut(9, vec![]), (0, String::new()));
        assert!(Page::of(-1).is_err());
        assert_eq!(Page::of(5_000).expect("good").limit(), 1_001);
    }
}
