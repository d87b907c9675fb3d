//! Fetches, in the background, the media that imported rows link to.

mod inspect;
mod kind;
