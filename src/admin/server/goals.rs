//! From the body of a verb to what control is to do; fields that make no sense together are refused here.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::call::bad;
use crate::admin::wire::{
    CanaryBody, GateBody, MaintenanceBody, PauseBody, Problem, ProblemCode, ResumeBody, RollbackBody, SwitchBody,
    VerbBody, Written,
};
use crate::control::{Actor, Goal, OperationOptions, OperationRequest};
use crate::types::Color;

/// How long a pause holds one request unless the body says otherwise.
const USUAL_HOLD: Duration = Duration::from_secs(30);

/// No client waits longer.
const LONGEST_HOLD: Duration = Duration::from_mins(10);

/// A goal and all that goes with it, apart from the service and the actor.
#[derive(Debug, Clone)]
pub struct AskedGoal {
    pub goal: Goal,
    pub options: OperationOptions,
    pub if_generation: Option<u64>,
    pub reason: Option<String>,
}

impl AskedGoal {
    pub fn request(self, service: String, actor: Actor) -> OperationRequest {
        let Self { goal, options, if_generation, reason } = self;
        OperationRequest { service, goal, actor, reason, if_generation, options }
    }
}

/// A body that says what control is to do.
pub trait GoalBody: VerbBody {
    fn goal(self) -> Result<AskedGoal, Problem>;
}

impl GoalBody for SwitchBody {
    fn goal(self) -> Result<AskedGoal, Problem> {
        let goal = Goal::To(color(self.color)?);
        if self.step_time.is_some() && self.steps.is_empty() {
            return Err(bad("step_time is how long each of the steps is watched: send steps, such as [5, 25, 50]"));
        }
        let options = OperationOptions {
            timeout: duration("timeout", self.timeout)?,
            drain: duration("drain", self.drain)?,
            watch: duration("watch", self.watch)?,
            steps: steps(self.steps)?,
            step_time: duration("step_time", self.step_time)?,
            force: self.force,
            anyway: false,
            wait: self.wait,
        };
        Ok(AskedGoal { goal, options, if_generation: self.if_generation, reason: self.reason })
    }
}

impl GoalBody for RollbackBody {
    fn goal(self) -> Result<AskedGoal, Problem> {
        let options = OperationOptions {
            timeout: duration("timeout", self.timeout)?,
            drain: duration("drain", self.drain)?,
            watch: duration("watch", self.watch)?,
            force: self.force,
            anyway: self.anyway,
            wait: self.wait,
            ..OperationOptions::default()
        };
        Ok(AskedGoal { goal: Goal::Previous, options, if_generation: self.if_generation, reason: self.reason })
    }
}

impl GoalBody for GateBody {
    fn goal(self) -> Result<AskedGoal, Problem> {
        let goal = Goal::GateOnly(color(self.color)?);
        let options = OperationOptions { timeout: duration("timeout", self.timeout)?, ..OperationOptions::default() };
        Ok(AskedGoal { goal, options, if_generation: None, reason: None })
    }
}

impl GoalBody for CanaryBody {
    fn goal(self) -> Result<AskedGoal, Problem> {
        let goal = match (self.off, self.percent) {
            (true, None) if self.timeout.is_some() => {
                return Err(bad("the end of a canary passes no gate: timeout is for its start"));
            }
            (false, Some(_)) if self.drain.is_some() || !self.wait => {
                return Err(bad("drain and wait are for the end of a canary, `canary off`: its start drains nothing"));
            }
            (true, None) if self.color.is_none() => Goal::CanaryOff,
            (false, Some(percent @ 0..=100)) => Goal::Canary { color: color(self.color)?, percent },
            (false, Some(percent)) => return Err(bad(format!("{percent} is not a share in per cent, 0 to 100"))),
            _ => return Err(bad("send {\"color\": \"green\", \"percent\": 5}, or {\"off\": true}")),
        };
        let options = OperationOptions {
            timeout: duration("timeout", self.timeout)?,
            drain: duration("drain", self.drain)?,
            wait: self.wait,
            ..OperationOptions::default()
        };
        Ok(AskedGoal { goal, options, if_generation: self.if_generation, reason: self.reason })
    }
}

impl GoalBody for PauseBody {
    fn goal(self) -> Result<AskedGoal, Problem> {
        let max = duration("max", self.max)?.unwrap_or(USUAL_HOLD);
        if max.is_zero() || max > LONGEST_HOLD {
            return Err(bad("max is how long a request is held: longer than 0 and at most 10m"));
        }
        let options = OperationOptions { timeout: duration("timeout", self.timeout)?, ..OperationOptions::default() };
        Ok(AskedGoal { goal: Goal::Pause { max }, options, if_generation: self.if_generation, reason: self.reason })
    }
}

impl GoalBody for ResumeBody {
    fn goal(self) -> Result<AskedGoal, Problem> {
        let options = OperationOptions::default();
        Ok(AskedGoal { goal: Goal::Resume, options, if_generation: self.if_generation, reason: self.reason })
    }
}

impl GoalBody for MaintenanceBody {
    fn goal(self) -> Result<AskedGoal, Problem> {
        let goal = if self.off {
            Goal::MaintenanceOff
        } else {
            let allow = self.allow.iter().map(|net| network(net)).collect::<Result<_, _>>()?;
            Goal::MaintenanceOn { message: self.message, allow }
        };
        let options = OperationOptions::default();
        Ok(AskedGoal { goal, options, if_generation: self.if_generation, reason: self.reason })
    }
}

/// The colour that a verb can't do without.
pub fn color(color: Option<Written<Color>>) -> Result<Color, Problem> {
    let Some(color) = color else {
        let detail = "no colour is given; send {\"color\": \"blue\"} or {\"color\": \"green\"}";
        return Err(Problem::new(ProblemCode::UnknownColor, detail));
    };
    color.read().map_err(|error| Problem::new(ProblemCode::UnknownColor, error.to_string()))
}

pub fn duration(field: &str, duration: Option<Written<Duration>>) -> Result<Option<Duration>, Problem> {
    let read = duration.map(Written::read).transpose();
    read.map_err(|error| Problem::new(ProblemCode::BadDuration, format!("{field}: {error}")))
}

/// Each step is larger than the one before, and none is the whole.
fn steps(steps: Vec<u8>) -> Result<Vec<u8>, Problem> {
    let grow = steps.windows(2).all(|pair| pair[0] < pair[1]);
    if grow && steps.iter().all(|percent| (1..=99).contains(percent)) {
        return Ok(steps);
    }
    Err(bad("steps are shares in per cent from 1 to 99, each larger than the one before: [5, 25, 50]"))
}

/// `192.0.2.0/24`, or one address.
fn network(text: &str) -> Result<IpNet, Problem> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).map_err(|_| bad(format!("{text:?} is not an address or a network")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<B: GoalBody>(body: &str) -> Result<AskedGoal, Problem> {
        serde_json::from_str::<B>(body).unwrap().goal()
    }

    fn goal<B: GoalBody>(body: &str) -> Goal {
        read::<B>(body).unwrap().goal
    }

    fn code<B: GoalBody>(body: &str) -> ProblemCode {
        read::<B>(body).unwrap_err().code
    }

    #[test]
    fn every_body_says_its_goal() {
        assert_eq!(goal::<SwitchBody>(r#"{"color":"green"}"#), Goal::To(Color::Green));
        assert_eq!(goal::<RollbackBody>("{}"), Goal::Previous);
        assert_eq!(goal::<GateBody>(r#"{"color":"blue"}"#), Goal::GateOnly(Color::Blue));
        let canary = Goal::Canary { color: Color::Green, percent: 100 };
        assert_eq!(goal::<CanaryBody>(r#"{"color":"green","percent":100}"#), canary);
        assert_eq!(goal::<CanaryBody>(r#"{"off":true,"drain":"1s","wait":false}"#), Goal::CanaryOff);
        assert_eq!(goal::<PauseBody>("{}"), Goal::Pause { max: USUAL_HOLD });
        assert_eq!(goal::<PauseBody>(r#"{"max":"10m"}"#), Goal::Pause { max: LONGEST_HOLD });
        assert_eq!(goal::<ResumeBody>("{}"), Goal::Resume);
        assert_eq!(goal::<MaintenanceBody>(r#"{"off":true}"#), Goal::MaintenanceOff);
        let allow = vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::1/128".parse().unwrap()];
        let on = goal::<MaintenanceBody>(r#"{"message":"back","allow":["192.0.2.0/24","2001:db8::1"]}"#);
        assert_eq!(on, Goal::MaintenanceOn { message: Some("back".to_owned()), allow });
    }

    #[test]
    fn options_go_along_with_the_goal() {
        let body = r#"{"color":"green","timeout":"1s","drain":"2s","watch":"3s","steps":[1,99],"step_time":"4s","force":true,
            "wait":false,"if_generation":7,"reason":"release"}"#;
        let AskedGoal { options, if_generation, reason, .. } = read::<SwitchBody>(body).unwrap();
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!((options.timeout, options.drain, options.watch), (seconds(1), seconds(2), seconds(3)));
        assert_eq!((options.steps, options.step_time), (vec![1, 99], seconds(4)));
        assert_eq!((options.force, options.wait), (true, false));
        assert_eq!((if_generation, reason.as_deref()), (Some(7), Some("release")));
        let body = r#"{"timeout":"1s","drain":"2s","watch":"3s","force":true,"anyway":true,"if_generation":7}"#;
        let AskedGoal { options, if_generation, .. } = read::<RollbackBody>(body).unwrap();
        assert_eq!((options.timeout, options.drain, options.watch), (seconds(1), seconds(2), seconds(3)));
        assert_eq!((options.force, options.anyway, options.wait, if_generation), (true, true, true, Some(7)));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        use ProblemCode::{BadDuration, BadRequest, UnknownColor};
        for (body, expected) in [
            ("{}", UnknownColor),
            (r#"{"color":"red","timeout":"soon"}"#, UnknownColor),
            (r#"{"color":"green","timeout":"soon"}"#, BadDuration),
            (r#"{"color":"green","step_time":"1s"}"#, BadRequest),
            (r#"{"color":"green","steps":[5,5]}"#, BadRequest),
            (r#"{"color":"green","steps":[0]}"#, BadRequest),
            (r#"{"color":"green","steps":[100]}"#, BadRequest),
        ] {
            assert_eq!(code::<SwitchBody>(body), expected, "{body}");
        }
        for body in [
            "{}",
            r#"{"off":true,"timeout":"1s"}"#,
            r#"{"off":true,"color":"green"}"#,
            r#"{"off":true,"percent":5}"#,
            r#"{"color":"green","percent":5,"drain":"1s"}"#,
            r#"{"color":"green","percent":5,"wait":false}"#,
            r#"{"color":"green","percent":101}"#,
        ] {
            assert_eq!(code::<CanaryBody>(body), BadRequest, "{body}");
        }
        assert_eq!(code::<CanaryBody>(r#"{"percent":5}"#), UnknownColor);
        for body in [r#"{"max":"0s"}"#, r#"{"max":"601s"}"#] {
            assert_eq!(code::<PauseBody>(body), BadRequest, "{body}");
        }
        assert_eq!(code::<MaintenanceBody>(r#"{"allow":["everyone"]}"#), BadRequest);
    }
}
