//! One PE: its mask, its handlers, and what they have interrupted.

use super::{Answer, Entry, Error, Event, Interrupted, is_bindable};
use leasehold_abi::sdei;

/// A handler that is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Handler {
    address: u64,
    argument: u64,
    enabled: bool,
}

/// A handler that is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Running<C> {
    interrupted: Interrupted,
    cause: Option<C>,
}

/// An event on a PE (section 6.1: the handler states are all combinations of what is here; the one that is running and not
/// registered is "unregister pending").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct OfEvent<C> {
    handler: Option<Handler>,
    running: Option<Running<C>>,
    /// Signalled, and not told yet. Only where a handler is registered.
    pending: bool,
}

impl<C: Copy> OfEvent<C> {
    const NEW: Self = Self {
        handler: None,
        running: None,
        pending: false,
    };

    fn status(&self) -> i64 {
        let bit = |is: bool, bit: i64| if is { bit } else { 0 };
        bit(self.handler.is_some(), sdei::STATUS_REGISTERED)
            | bit(
                self.handler.is_some_and(|handler| handler.enabled),
                sdei::STATUS_ENABLED,
            )
            | bit(self.running.is_some(), sdei::STATUS_RUNNING)
    }

    fn register(&mut self, address: u64, argument: u64, flags: u64) -> Result<i64, Error> {
        // Where the handler of a private event runs is not a matter of routing: it is checked that the flag exists.
        if address == 0 || !address.is_multiple_of(4) || flags & !sdei::FLAGS_ROUTING_PE != 0 {
            return Err(Error::InvalidParameters);
        }
        if self.handler.is_some() || self.running.is_some() {
            return Err(Error::Denied);
        }
        self.handler = Some(Handler {
            address,
            argument,
            enabled: false,
        });
        Ok(sdei::SUCCESS)
    }

    fn unregister(&mut self) -> Result<i64, Error> {
        let was = self.handler.take();
        self.pending = false;
        match (was, &self.running) {
            (_, Some(_)) => Err(Error::Pending),
            (None, None) => Err(Error::Denied),
            (Some(_), None) => Ok(sdei::SUCCESS),
        }
    }

    fn set_enabled(&mut self, enabled: bool) -> Result<i64, Error> {
        self.handler.as_mut().ok_or(Error::Denied)?.enabled = enabled;
        Ok(sdei::SUCCESS)
    }
}

/// A PE. It starts masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pe<C> {
    unmasked: bool,
    software: OfEvent<C>,
    fault: OfEvent<C>,
}

impl<C: Copy> Pe<C> {
    pub const fn new() -> Self {
        Self {
            unmasked: false,
            software: OfEvent::NEW,
            fault: OfEvent::NEW,
        }
    }

    fn event(&mut self, event: Event) -> &mut OfEvent<C> {
        match event {
            Event::Software => &mut self.software,
            Event::Fault => &mut self.fault,
        }
    }

    /// The event whose handler was entered last, of those that are running: the critical one comes on top.
    fn top(&mut self) -> Option<&mut OfEvent<C>> {
        let mut events = [&mut self.fault, &mut self.software].into_iter();
        events.find(|event| event.running.is_some())
    }

    pub fn call(&mut self, function: u32, args: [u64; 5]) -> Answer {
        let [first, second, third, fourth, _] = args;
        let result = match function {
            sdei::VERSION => Ok(sdei::VERSION_1_1),
            sdei::EVENT_REGISTER => self.named(first, |event| event.register(second, third, fourth)),
            sdei::EVENT_ENABLE => self.named(first, |event| event.set_enabled(true)),
            sdei::EVENT_DISABLE => self.named(first, |event| event.set_enabled(false)),
            sdei::EVENT_UNREGISTER => self.named(first, OfEvent::unregister),
            sdei::EVENT_STATUS => self.named(first, |event| Ok(event.status())),
            sdei::EVENT_CONTEXT => self.context(first),
            sdei::EVENT_COMPLETE | sdei::EVENT_COMPLETE_AND_RESUME => return self.complete(function, first),
            sdei::EVENT_GET_INFO => info(first, second),
            // Of shared events only.
            sdei::EVENT_ROUTING_SET => Err(Error::InvalidParameters),
            sdei::PE_MASK => Ok(i64::from(core::mem::replace(&mut self.unmasked, false))),
            sdei::PE_UNMASK => {
                self.unmasked = true;
                Ok(sdei::SUCCESS)
            }
            sdei::INTERRUPT_BIND if is_bindable(first) => Err(Error::OutOfResource),
            // Nothing is bound.
            sdei::INTERRUPT_BIND | sdei::INTERRUPT_RELEASE => Err(Error::InvalidParameters),
            sdei::FEATURES => feature(first),
            sdei::PRIVATE_RESET => self.private_reset(),
            // There are none.
            sdei::SHARED_RESET => Ok(sdei::SUCCESS),
            _ => Err(Error::NotSupported),
        };
        result.into()
    }

    fn named(&mut self, event: u64, ask: impl FnOnce(&mut OfEvent<C>) -> Result<i64, Error>) -> Result<i64, Error> {
        ask(self.event(Event::named(event)?))
    }

    fn context(&mut self, register: u64) -> Result<i64, Error> {
        let register = register as u32 as usize;
        if register >= sdei::SAVED_REGISTERS {
            return Err(Error::InvalidParameters);
        }
        let running = self.top().and_then(|event| event.running).ok_or(Error::Denied)?;
        Ok(running.interrupted.x[register] as i64)
    }

    /// What the host says of how it went (`SDEI_EVENT_COMPLETE`'s status) makes no difference.
    fn complete(&mut self, function: u32, at: u64) -> Answer {
        let resumes = function == sdei::EVENT_COMPLETE_AND_RESUME;
        if resumes && !at.is_multiple_of(4) {
            return Answer::Return(sdei::DENIED);
        }
        let Some(Running { interrupted, .. }) = self.top().and_then(|event| event.running.take()) else {
            return Answer::Return(sdei::DENIED);
        };
        if resumes {
            Answer::Resume { interrupted, at }
        } else {
            Answer::Complete(interrupted)
        }
    }

    fn private_reset(&mut self) -> Result<i64, Error> {
        if self.top().is_some() {
            return Err(Error::Denied);
        }
        (self.software, self.fault) = (OfEvent::NEW, OfEvent::NEW);
        Ok(sdei::SUCCESS)
    }

    pub fn signal(&mut self) {
        self.software.pending |= self.software.handler.is_some();
    }

    /// A handler is entered where it is registered and enabled, the PE is not masked, and no handler of its
    /// priority or a higher one is running.
    pub fn enter(&mut self, event: Event, interrupted: &Interrupted, cause: Option<C>) -> Option<Entry> {
        let busy = match event {
            Event::Software => self.top().is_some(),
            Event::Fault => self.fault.running.is_some(),
        };
        if busy || !self.unmasked {
            return None;
        }
        let of = self.event(event);
        let handler = of.handler.filter(|handler| handler.enabled)?;
        of.pending = false;
        of.running = Some(Running {
            interrupted: *interrupted,
            cause,
        });
        Some(Entry {
            event,
            address: handler.address,
            argument: handler.argument,
        })
    }

    pub fn due(&mut self, interrupted: &Interrupted) -> Option<Entry> {
        if !self.software.pending {
            return None;
        }
        self.enter(Event::Software, interrupted, None)
    }

    pub fn cause(&self) -> Option<C> {
        self.fault.running.and_then(|running| running.cause)
    }
}

/// `SDEI_EVENT_GET_INFO`.
fn info(event: u64, info: u64) -> Result<i64, Error> {
    let event = Event::named(event)?;
    match info as u32 {
        sdei::INFO_TYPE => Ok(0),
        sdei::INFO_SIGNALED => Ok(i64::from(event == Event::Software)),
        sdei::INFO_PRIORITY => Ok(i64::from(event == Event::Fault)),
        // Of shared events only.
        sdei::INFO_ROUTING_MODE | sdei::INFO_ROUTING_AFFINITY => Err(Error::InvalidParameters),
        _ => Err(Error::InvalidParameters),
    }
}

/// `SDEI_FEATURES`: no slots, and addresses are absolute.
fn feature(feature: u64) -> Result<i64, Error> {
    match feature as u32 {
        sdei::FEATURE_BIND_SLOTS | sdei::FEATURE_RELATIVE_MODE => Ok(0),
        _ => Err(Error::InvalidParameters),
    }
}
