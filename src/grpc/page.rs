//! Pages of lists.

use std::{fmt::Display, str::FromStr};

use prost::{Message, Name};

use super::{pb, token::Seal};
use crate::domain::{ids::ApplicationId, refusal::Refusal};

/// Items of a page where the caller says nothing.
const DEFAULT_SIZE: usize = 50;

/// Most items of a page.
const MAX_SIZE: usize = 1_000;

/// Bytes behind which a page ends early; peers take messages of 4 MiB.
const PAGE_BYTES: usize = 1 << 20;

/// A request for a page of a list.
pub(super) trait ListRequest: Message + Name {
    /// Takes size and token of the page out; what stays says which list it is of.
    fn take_page(&mut self) -> (i32, String);
}

macro_rules! list_requests {
    ($($request:ident),* $(,)?) => {
        $(impl ListRequest for pb::$request {
            fn take_page(&mut self) -> (i32, String) {
                (std::mem::take(&mut self.page_size), std::mem::take(&mut self.page_token))
            }
        })*
    };
}

list_requests!(
    ListApiKeysRequest,
    ListApplicationsRequest,
    ListAuditEventsRequest,
    ListBusinessesRequest,
    ListImportsRequest,
    ListRowErrorsRequest,
    ListSessionsRequest,
    ListStatusRulesRequest,
    ListTransactionsRequest,
    ListUsersRequest,
    ListWorkflowVersionsRequest,
    ListWorkflowsRequest,
);

/// How much of a list is asked for, and of which.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    size: usize,
    list: Seal,
}

impl Page {
    /// Reads which page is asked for, and the place behind which it begins. A size of 0 means 50, and 1,000
    /// is the most. A token is good for the request it was given out for alone, whatever its page size.
    pub(super) fn of<R: ListRequest, T: FromStr>(
        application: Option<ApplicationId>,
        request: &mut R,
    ) -> Result<(Self, Option<T>), Refusal> {
        let (size, token) = request.take_page();
        let size = match usize::try_from(size) {
            Ok(0) => DEFAULT_SIZE,
            Ok(size) => size.min(MAX_SIZE),
            Err(_) => return Err(Refusal::field("page_size", "must not be negative")),
        };
        let list = Seal::new(R::NAME, application, &request.encode_to_vec());
        let behind = list.place("page_token", &token)?;
        Ok((Self { size, list }, behind))
    }

    /// Items to look for: one more than are shown, which tells whether there is another page.
    pub(super) fn limit(self) -> u64 {
        self.size as u64 + 1
    }

    /// Converts as many items as the page holds; gives the token of the next page, which is empty on the
    /// last. `place` tells the place of the last item, of which there are as many as it is told.
    pub(super) fn cut<T, M: Message, P: Display>(
        self,
        items: Vec<T>,
        convert: impl Fn(T) -> M,
        place: impl Fn(&T, usize) -> P,
    ) -> (Vec<M>, String) {
        self.cut_from(items, false, convert, place)
    }

    /// As [`Page::cut`], of items behind which there may be `more` however few they are.
    pub(super) fn cut_from<T, M: Message, P: Display>(
        self,
        items: Vec<T>,
        more: bool,
        convert: impl Fn(T) -> M,
        place: impl Fn(&T, usize) -> P,
    ) -> (Vec<M>, String) {
        let (mut page, mut bytes) = (Vec::with_capacity(items.len().min(self.size)), 0);
        let mut next = String::new();
        for item in items {
            if page.len() == self.size || bytes > PAGE_BYTES {
                return (page, next);
            }
            next = self.list.token(place(&item, page.len() + 1));
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

    fn page(page_size: i32) -> Result<Page, Refusal> {
        let mut request = pb::ListUsersRequest { page_size, page_token: String::new() };
        Page::of::<_, i64>(None, &mut request).map(|(page, _)| page)
    }

    /// Items on the page, and the place its token leads to.
    fn cut(size: i32, items: Vec<String>) -> (usize, String) {
        let (page, next) = page(size).expect("good").cut(
            items,
            |item| item,
            |item, count| format!("{count}:{}", item.len()),
        );
        (page.len(), next.split_once('.').map(|(_, place)| place.to_owned()).unwrap_or_default())
    }

    #[test]
    fn a_page_ends_by_number_or_by_bytes() {
        assert_eq!(cut(2, vec!["a".to_owned(); 2]), (2, String::new()), "the last page has no token");
        assert_eq!(cut(2, vec!["a".to_owned(); 3]), (2, "2:1".to_owned()));
        assert_eq!(cut(0, vec![String::new(); 51]), (50, "50:0".to_owned()));
        assert_eq!(cut(9, vec!["a".repeat(PAGE_BYTES); 3]), (1, format!("1:{PAGE_BYTES}")));
        assert_eq!(cut(9, vec!["a".repeat(PAGE_BYTES)]), (1, String::new()), "one item always");
        assert_eq!(cut(9, vec![]), (0, String::new()));
        assert!(page(-1).is_err());
        assert_eq!(page(5_000).expect("good").limit(), 1_001);
    }
}
