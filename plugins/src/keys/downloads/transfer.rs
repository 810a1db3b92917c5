//! Getting the whole of a file over a network that breaks.

use super::checksum::{Checksum, Sum};
use super::version::Version;
use crate::Host;
use crate::system::Sink;
use crate::system::http::{Failure, Request, Response};
use anyhow::{Context as _, Result, bail};
use std::io::Read;

/// How often in a row it may break off without having got on.
pub(super) const TRIES: u32 = 5;
/// How much more must have come for the tries to begin anew.
const PROGRESS: u64 = 1 << 20;
/// How much is read at once.
const PIECE: usize = 256 << 10;

/// Writes the whole body of an answer to this request. Where it breaks off, the rest is asked for if the server
/// says that it is still the same content, and otherwise everything again. Returns the version that was written.
pub(super) fn transfer(
    host: &dyn Host,
    request: &Request,
    first: Response,
    checksum: Option<&Checksum>,
    sink: &mut Sink<'_>,
) -> Result<Option<Version>> {
    let mut content = Content::of(&first);
    content.length.map_or(Ok(()), |length| sink.reserve(length))?;
    let mut sum = checksum.map(Checksum::begin);
    let mut next = Ok(first);
    let mut buffer = vec![0; PIECE];
    let (mut tried, mut reached) = (0, 0);
    loop {
        let error = match next.and_then(|response| copy(response, &mut buffer, &mut sum, sink)) {
            Ok(()) => break,
            Err(error) => error,
        };
        if sink.written() >= reached + PROGRESS {
            (tried, reached) = (0, sink.written());
        }
        tried += 1;
        match error.downcast_ref::<Failure>() {
            Some(failure) if failure.is_passing() && tried < TRIES => host.pause(failure.pause(tried))?,
            // The rest is not to be had: the whole may be.
            Some(Failure::Status { code: 412 | 416, .. }) if tried < TRIES => content.is_divisible = false,
            _ if tried > 1 => return Err(error).with_context(|| format!("after {tried} tries")),
            _ => return Err(error),
        }
        let rest = content.rest(request, sink.written());
        next = host.client()?.fetch(rest.as_ref().unwrap_or(request));
        match &next {
            Ok(answer) if rest.is_some() && content.goes_on(answer, sink.written()) => {}
            Ok(answer) if answer.status() == 206 => {
                content.is_divisible = false;
                next = Err(Failure::Passing("the server sent another part than was asked for".into()).into());
            }
            Ok(answer) => {
                content = Content::of(answer);
                sum = checksum.map(Checksum::begin);
                // What was reached before counts: else one that always breaks off late would be asked for ever.
                sink.restart()?;
            }
            Err(_) => {}
        }
    }
    if let (Some(checksum), Some(sum)) = (checksum, sum)
        && !checksum.fits(sum)
    {
        bail!("what came has not the checksum that is expected");
    }
    Ok(content.version)
}

/// What is being transferred.
struct Content {
    version: Option<Version>,
    length: Option<u64>,
    /// Whether a part of it may be asked for.
    is_divisible: bool,
}

impl Content {
    fn of(answer: &Response) -> Self {
        Self { version: Version::of(answer), length: answer.length(), is_divisible: true }
    }

    /// Asks for what is behind the bytes that are there; nothing when it could be another content by now.
    fn rest(&self, request: &Request, written: u64) -> Option<Request> {
        let strong = self.version.as_ref()?.strong().filter(|_| self.is_divisible && written > 0)?;
        Some(request.clone().header("Range", format!("bytes={written}-")).header("If-Range", strong))
    }

    /// Whether an answer is what is missing of it.
    fn goes_on(&self, answer: &Response, written: u64) -> bool {
        let range = || {
            let (first, rest) = answer.header("content-range")?.strip_prefix("bytes ")?.split_once('-')?;
            let (last, all) = rest.split_once('/')?;
            let end = last.parse::<u64>().ok()?.checked_add(1)?;
            let all = all.parse::<u64>().ok();
            let whole = all.is_none_or(|all| all == end) && self.length.is_none_or(|length| length == end);
            Some(whole && first.parse() == Ok(written))
        };
        let same = Version::of(answer).is_none_or(|now| Some(now) == self.version);
        answer.status() == 206 && same && range().unwrap_or(false)
    }
}

fn copy(mut response: Response, buffer: &mut [u8], sum: &mut Option<Sum>, sink: &mut Sink<'_>) -> Result<()> {
    loop {
        let count = response.read(buffer).map_err(Response::failure)?;
        if count == 0 {
            return Ok(());
        }
        if let Some(sum) = sum {
            sum.add(&buffer[..count]);
        }
        sink.add(&buffer[..count])?;
    }
}
