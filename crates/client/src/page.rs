//! Lists: a page at a time, or all pages as a stream.

use std::{
    collections::VecDeque,
    fmt,
    future::IntoFuture,
    ops::Deref,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use dewpoint_api::{Links, Resource};
use futures_core::Stream;
use serde::de::DeserializeOwned;

use crate::{
    Answer, Client, Kept, Result,
    call::{CallFuture, Read},
    envelope,
    operations::Operation,
    request::Request,
};

/// Objects a page where a stream or [`List::all`] asks for all pages, and nobody said otherwise: the most there can be.
const PER_PAGE_OF_ALL: u64 = 200;

/// A list that is asked for when it is awaited: one [`Page`] of it; or all of it, by [`List::stream`] or [`List::all`].
///
/// ```no_run
/// # async fn example(client: dewpoint_client::Client) -> dewpoint_client::Result<()> {
/// let first = client.droplets().list().await?;
/// println!("{} of {}", first.len(), first.total);
///
/// let mut every = client.droplets().list().tag("web").stream();
/// while let Some(droplet) = every.next().await {
///     println!("{}", droplet?.name);
/// }
/// # Ok(()) }
/// ```
#[must_use = "a list is asked for when it is awaited"]
pub struct List<T> {
    client: Client,
    request: Request,
    read: Read<Parts<T>>,
    page: u64,
    per_page: Option<u64>,
}

/// What a body of a list holds.
pub(crate) type Parts<T> = (Vec<Kept<T>>, Links, dewpoint_api::Meta);

impl<T> Clone for List<T> {
    fn clone(&self) -> Self {
        let Self { client, request, read, page, per_page } = self;
        Self { client: client.clone(), request: request.clone(), read: *read, page: *page, per_page: *per_page }
    }
}

impl<T> List<T> {
    /// Which page to ask for, from 1. A stream begins there.
    pub const fn page(mut self, page: u64) -> Self {
        self.page = page;
        self
    }

    /// Objects a page, 1 to 200. The server's default is 20 for a page; streams ask for 200 unless told.
    pub const fn per_page(mut self, per_page: u64) -> Self {
        self.per_page = Some(per_page);
        self
    }

    /// Sets a query parameter that there is no method for.
    pub fn query(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.request.query(name, &value);
        self
    }

    /// Sets a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request.header(name, value);
        self
    }

    /// How long each attempt may take, of each page.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.request.timeout = Some(timeout);
        self
    }

    /// Most times that a page is asked for again.
    pub const fn retries(mut self, retries: u32) -> Self {
        self.request.retries = Some(retries);
        self
    }

    /// One page, with status and headers.
    pub async fn answer(mut self) -> Result<Answer<Page<T>>> {
        self.request.query("page", &self.page);
        if let Some(per_page) = self.per_page {
            self.request.query("per_page", &per_page);
        }
        let Answer { value: (items, links, meta), status, headers } =
            self.client.answer(&self.request, self.read).await?;
        Ok(Answer { value: Page { items, links, total: meta.total, number: self.page }, status, headers })
    }
}

impl<T: Send + 'static> List<T> {
    /// All of it, object by object; the next page is asked for when the last one is used up.
    ///
    /// An error ends the stream.
    pub fn stream(mut self) -> ListStream<T> {
        self.per_page.get_or_insert(PER_PAGE_OF_ALL);
        ListStream { next: Some(self), asked: None, items: VecDeque::new() }
    }

    /// All of it at once.
    pub async fn all(self) -> Result<Vec<Kept<T>>> {
        let mut stream = self.stream();
        let mut all = Vec::new();
        while let Some(item) = stream.next().await {
            all.push(item?);
        }
        Ok(all)
    }
}

impl<T: Send + 'static> IntoFuture for List<T> {
    type Output = Result<Page<T>>;
    type IntoFuture = CallFuture<Page<T>>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Ok(self.answer().await?.value) })
    }
}

impl<T> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List").field("target", &self.request.target).field("page", &self.page).finish()
    }
}

/// One page of a list. Derefs to the slice of its objects.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page<T> {
    /// The objects of this page.
    pub items: Vec<Kept<T>>,
    /// Where the other pages are, as absolute addresses.
    pub links: Links,
    /// How many objects there are on all pages together.
    pub total: u64,
    /// Which page this is, from 1.
    pub number: u64,
}

impl<T> Page<T> {
    /// Whether there is a page after this one.
    pub fn has_next(&self) -> bool {
        self.links.pages.as_ref().is_some_and(|pages| pages.next.is_some())
    }
}

impl<T> Deref for Page<T> {
    type Target = [Kept<T>];
    fn deref(&self) -> &[Kept<T>] {
        &self.items
    }
}

impl<T> IntoIterator for Page<T> {
    type Item = Kept<T>;
    type IntoIter = std::vec::IntoIter<Kept<T>>;
    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

/// All objects of a list. Made by [`List::stream`].
#[must_use = "streams do nothing unless polled"]
pub struct ListStream<T> {
    /// The list, at the page to ask for next; `None` at the end.
    next: Option<List<T>>,
    asked: Option<CallFuture<Page<T>>>,
    items: VecDeque<Kept<T>>,
}

impl<T: Send + 'static> ListStream<T> {
    /// The next object; `None` at the end. The same as `StreamExt::next`, for those who have no other need of it.
    pub async fn next(&mut self) -> Option<Result<Kept<T>>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl<T> Unpin for ListStream<T> {}

impl<T: Send + 'static> Stream for ListStream<T> {
    type Item = Result<Kept<T>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(item) = this.items.pop_front() {
                return Poll::Ready(Some(Ok(item)));
            }
            let Some(list) = &this.next else { return Poll::Ready(None) };
            let asked = this.asked.get_or_insert_with(|| list.clone().into_future());
            let page = ready!(asked.as_mut().poll(cx));
            this.asked = None;
            match page {
                Ok(page) => {
                    // An empty page ends it too, whatever its links say: else a server could keep us asking for ever.
                    let ends = !page.has_next() || page.is_empty();
                    this.items = page.items.into();
                    this.next = this.next.take().filter(|_| !ends).map(|list| List { page: list.page + 1, ..list });
                }
                Err(error) => {
                    this.next = None;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.items.len(), self.next.is_none().then_some(self.items.len()))
    }
}

impl<T> fmt::Debug for ListStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListStream").field("next", &self.next).field("ready", &self.items.len()).finish()
    }
}

impl Client {
    /// A list in pages.
    pub(crate) fn list<T: Resource + DeserializeOwned>(
        &self,
        operation: &Operation,
        parts: &[&dyn fmt::Display],
    ) -> List<T> {
        self.list_by(operation, parts, envelope::page)
    }

    pub(crate) fn list_by<T>(
        &self,
        operation: &Operation,
        parts: &[&dyn fmt::Display],
        read: Read<Parts<T>>,
    ) -> List<T> {
        List { client: self.clone(), request: Request::of(operation, parts), read, page: 1, per_page: None }
    }
}
