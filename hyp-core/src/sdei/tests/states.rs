//! Every state that two PEs can reach, against a model that says in a few words when a handler may run.

use super::*;
use std::collections::HashSet;
use std::vec::Vec;

/// What a PE knows of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Model {
    unmasked: bool,
    registered: [bool; 2],
    enabled: [bool; 2],
    pending: bool,
    /// What is running, and what it has interrupted: the last one on top.
    running: Vec<(Event, Interrupted)>,
}

fn index(event: Event) -> usize {
    usize::from(event == Event::Fault)
}

impl Model {
    fn runs(&self, event: Event) -> bool {
        self.running.iter().any(|(running, _)| *running == event)
    }

    /// The rule for entering a handler.
    fn may_enter(&self, event: Event) -> bool {
        let blocked = match event {
            Event::Software => !self.running.is_empty(),
            Event::Fault => self.runs(Event::Fault),
        };
        self.unmasked && self.registered[index(event)] && self.enabled[index(event)] && !blocked
    }

    fn status(&self, event: Event) -> i64 {
        let at = index(event);
        i64::from(self.registered[at]) | i64::from(self.enabled[at]) << 1 | i64::from(self.runs(event)) << 2
    }

    fn unregister(&mut self, event: Event) {
        (self.registered[index(event)], self.enabled[index(event)]) = (false, false);
        self.pending &= event != Event::Software;
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Call(u32, Event),
    Complete,
    Resume,
    Signal(usize),
    Fault,
    Look,
    SwitchOn,
}

fn steps() -> Vec<Step> {
    let mut all = Vec::from([Step::Complete, Step::Resume, Step::Fault, Step::Look, Step::SwitchOn]);
    all.extend([0, 1].map(Step::Signal));
    let both = [
        sdei::EVENT_REGISTER,
        sdei::EVENT_ENABLE,
        sdei::EVENT_DISABLE,
        sdei::EVENT_UNREGISTER,
        sdei::EVENT_STATUS,
    ];
    let one = [sdei::PE_MASK, sdei::PE_UNMASK, sdei::PRIVATE_RESET, sdei::SHARED_RESET];
    all.extend(
        both.into_iter()
            .flat_map(|f| Event::ALL.map(|event| Step::Call(f, event))),
    );
    all.extend(one.map(|f| Step::Call(f, Event::Fault)));
    all
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct World {
    dispatcher: Small,
    models: [Model; 2],
}

impl World {
    /// What is interrupted when an event comes now: different for each PE and each depth.
    fn now(&self, pe: usize) -> Interrupted {
        interrupted(10 * (pe as u64 + 1) + self.models[pe].running.len() as u64)
    }

    fn step(&mut self, pe: usize, step: Step) {
        let (before, now) = (self.clone(), self.now(pe));
        match step {
            Step::Call(function, event) => self.call(pe, function, event),
            Step::Complete => self.complete(pe, sdei::EVENT_COMPLETE),
            Step::Resume => self.complete(pe, sdei::EVENT_COMPLETE_AND_RESUME),
            Step::Signal(target) => {
                let answer = ask(
                    &mut self.dispatcher,
                    pe,
                    sdei::EVENT_SIGNAL,
                    &[SOFTWARE, target as u64 * 0x100],
                );
                assert_eq!(answer, Answer::Signalled(target));
                self.models[target].pending |= self.models[target].registered[0];
            }
            Step::Fault => {
                let entry = self.dispatcher.fault(pe, &now, pe as u8);
                self.entered(pe, entry, Event::Fault, self.models[pe].may_enter(Event::Fault));
                assert_eq!(self.dispatcher.cause(pe).is_some(), self.models[pe].runs(Event::Fault));
            }
            Step::Look => {
                let entry = self.dispatcher.due(pe, &now);
                let model = &self.models[pe];
                self.entered(
                    pe,
                    entry,
                    Event::Software,
                    model.pending && model.may_enter(Event::Software),
                );
                self.models[pe].pending &= entry.is_none();
            }
            Step::SwitchOn => {
                self.dispatcher.reset(pe);
                self.models[pe] = Model::default();
            }
        }
        self.check(pe, &before, step);
    }

    fn entered(&mut self, pe: usize, entry: Option<Entry>, event: Event, may: bool) {
        let wanted = may.then_some(Entry {
            event,
            address: HANDLER + 4 * pe as u64,
            argument: u64::from(event.number()),
        });
        assert_eq!(entry, wanted);
        if may {
            let now = self.now(pe);
            self.models[pe].running.push((event, now));
        }
    }

    fn complete(&mut self, pe: usize, function: u32) {
        let answer = ask(&mut self.dispatcher, pe, function, &[0x8000]);
        let wanted = match self.models[pe].running.pop() {
            None => Answer::Return(sdei::DENIED),
            Some((_, interrupted)) if function == sdei::EVENT_COMPLETE => Answer::Complete(interrupted),
            Some((_, interrupted)) => Answer::Resume {
                interrupted,
                at: 0x8000,
            },
        };
        assert_eq!(answer, wanted);
    }

    fn call(&mut self, pe: usize, function: u32, event: Event) {
        let number = u64::from(event.number());
        let args = [number, HANDLER + 4 * pe as u64, number];
        let returned = call(&mut self.dispatcher, pe, function, &args);
        let model = &mut self.models[pe];
        let (at, runs) = (index(event), model.runs(event));
        let denied_if = |refused| if refused { sdei::DENIED } else { sdei::SUCCESS };
        let wanted = match function {
            sdei::EVENT_REGISTER => denied_if(runs || model.registered[at]),
            sdei::EVENT_ENABLE | sdei::EVENT_DISABLE => denied_if(!model.registered[at]),
            sdei::EVENT_UNREGISTER if runs => sdei::PENDING,
            sdei::EVENT_UNREGISTER => denied_if(!model.registered[at]),
            sdei::EVENT_STATUS => model.status(event),
            sdei::PE_MASK => i64::from(model.unmasked),
            sdei::PRIVATE_RESET => denied_if(!model.running.is_empty()),
            _ => sdei::SUCCESS,
        };
        assert_eq!(returned, wanted, "{function:#x} {event:?} {model:?}");
        match function {
            sdei::PE_MASK => model.unmasked = false,
            sdei::EVENT_UNREGISTER => model.unregister(event),
            _ if returned != sdei::SUCCESS => {}
            sdei::EVENT_REGISTER => model.registered[at] = true,
            sdei::EVENT_ENABLE => model.enabled[at] = true,
            sdei::EVENT_DISABLE => model.enabled[at] = false,
            sdei::PE_UNMASK => model.unmasked = true,
            sdei::PRIVATE_RESET => Event::ALL.into_iter().for_each(|event| model.unregister(event)),
            _ => {}
        }
    }

    /// What holds in every state, and after every step.
    fn check(&self, pe: usize, before: &World, step: Step) {
        for model in &self.models {
            let stack: Vec<Event> = model.running.iter().map(|(event, _)| *event).collect();
            let nested = [Event::Software, Event::Fault];
            assert!(
                stack.len() < 2 || stack == nested,
                "{stack:?}: critical preempts normal alone"
            );
        }
        if self.models == before.models {
            assert!(
                self.dispatcher == before.dispatcher,
                "{step:?} is refused, or asks, and changes nothing"
            );
        }
        let other = 1 - pe;
        if !matches!(step, Step::Signal(target) if target == other) {
            assert_eq!(self.dispatcher.pes[other], before.dispatcher.pes[other]);
        }
    }
}

#[test]
fn every_state_that_can_be_reached_is_as_the_model_says() {
    let start = World {
        dispatcher: Small::new(),
        models: Default::default(),
    };
    let steps = steps();
    let (mut known, mut left) = (HashSet::from([start.clone()]), Vec::from([start]));
    while let Some(world) = left.pop() {
        for (pe, step) in (0..2).flat_map(|pe| steps.iter().map(move |step| (pe, *step))) {
            let mut next = world.clone();
            next.step(pe, step);
            if !known.contains(&next) {
                known.insert(next.clone());
                left.push(next);
            }
        }
    }
    // For each PE: 2 masks; the fault event unregistered, disabled or enabled; the other one as well, and pending where it
    // is registered; nothing, one of them, or both running.
    let each = 2 * 3 * 5 * 4;
    assert_eq!(known.len(), each * each);
}
