//! WebM: elements whose lengths may be unknown, as those of a recording that was sent while it was made.

use std::io::{BufRead, Seek};

use super::{Flaw, walk::Walk};

const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1f43_b675;

pub(super) fn walk(walk: &mut Walk<impl BufRead + Seek>) -> Result<(), Flaw> {
    let header = element(walk)?;
    walk.go_to(header.end.ok_or(Flaw::Corrupt("its header has no end"))?)?;
    let segment = element(walk)?;
    if segment.id != SEGMENT {
        return Err(Flaw::Corrupt("it has a header and no pictures"));
    }
    let end = segment.end.unwrap_or(walk.length());
    walk.check(end, 0)?;
    while walk.at() < end {
        let inner = element(walk)?;
        match (inner.id, inner.end) {
            // Its end is known, and its pictures have begun.
            (CLUSTER, _) if segment.end.is_some() => return Ok(()),
            (CLUSTER, None) if walk.at() < end => return Ok(()),
            (CLUSTER, Some(inner_end)) if walk.at() < inner_end => {
                walk.go_to(inner_end)?;
                return Ok(());
            }
            (_, Some(inner_end)) => walk.go_to(inner_end)?,
            (_, None) => return Err(Flaw::Corrupt("an element has no end")),
        }
    }
    Err(Flaw::Corrupt("it has a header and no pictures"))
}

/// An element: its id, and where it ends if that is known.
struct Element {
    id: u32,
    end: Option<u64>,
}

fn element(walk: &mut Walk<impl BufRead + Seek>) -> Result<Element, Flaw> {
    let (id, _) = number(walk, 4, true)?;
    let (length, is_known) = number(walk, 8, false)?;
    let end = walk.at().checked_add(length).ok_or(Flaw::Corrupt("it ends too early"))?;
    let id = u32::try_from(id).map_err(|_| Flaw::Corrupt("an element has no id"))?;
    Ok(Element { id, end: is_known.then_some(end) })
}

/// A number whose first byte tells by its leading zeros how many follow; all ones are "unknown".
fn number(walk: &mut Walk<impl BufRead + Seek>, most: u32, keeps_marker: bool) -> Result<(u64, bool), Flaw> {
    let first = walk.byte()?;
    let more = first.leading_zeros();
    if more >= most {
        return Err(Flaw::Corrupt("an element has no length"));
    }
    let marker = 0x80 >> more;
    let mut value = u64::from(if keeps_marker { first } else { first & !marker });
    for _ in 0..more {
        value = value << 8 | u64::from(walk.byte()?);
    }
    let unknown = (1_u64 << (7 * (more + 1))) - 1;
    Ok((value, value != unknown))
}
