//! A whole camera that runs by a Plan: source, encoder, hub.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use windhover::base::clock::{Clock, SystemClock};
use windhover::base::health::{BranchReport, Health};
use windhover::base::shutdown::{Shutdown, Stop};
use windhover::config::{Environment, Inputs, load};
use windhover::hub::{Hub, PictureSlot};
use windhover::pipeline::{self, Handle, Setup};
use windhover::plan::inventory::Inventory;
use windhover::plan::{self, StreamPlan};
use windhover::probe::v4l2::Kernel;

/// The first stream that a configuration gives on a board of `tests/plan`.
pub(crate) fn planned(inventory: &str, config: &str) -> StreamPlan {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plan/inventories");
    let text = std::fs::read_to_string(tests.join(format!("{inventory}.json"))).unwrap();
    let inventory: Inventory = serde_json::from_str(&text).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("w.toml");
    std::fs::write(&file, config).unwrap();
    let environment: Environment = [("HOME".to_owned(), "/u/pilot".to_owned())].into();
    let (config, problems) = load(&Inputs { named: Some(file), environment, ..Inputs::default() });
    assert!(problems.is_empty(), "{problems}");
    let (board, _) = plan::board(&config, &inventory.compatible);
    plan::resolve(&config, &board, &inventory).plan.streams.remove(0)
}

pub(crate) struct Running {
    pub(crate) camera: Handle,
    pub(crate) hub: Hub,
    pub(crate) pictures: PictureSlot,
    pub(crate) health: Health,
    pub(crate) shutdown: Shutdown,
}

impl Running {
    pub(crate) fn start(plan: StreamPlan) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (hub, pictures, shutdown) = (Hub::new(clock.clone()), PictureSlot::new(), Shutdown::new());
        let health = Health::new(clock.clone());
        let camera = pipeline::start(Setup {
            plan,
            hub: hub.clone(),
            pictures: pictures.clone(),
            devices: Arc::new(Kernel),
            clock,
            health: health.clone(),
            shutdown: shutdown.clone(),
        });
        Self { camera, hub, pictures, health, shutdown }
    }

    /// Waits for something, for 30 s at most.
    pub(crate) fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let end = SystemClock.monotonic() + Duration::from_secs(30);
        while SystemClock.monotonic() < end {
            if let Some(found) = look() {
                return found;
            }
            self.shutdown.wait(Duration::from_millis(10));
        }
        panic!("{what} did not come: {:?}", self.health.report());
    }

    pub(crate) fn branch(&self, name: &str) -> Option<BranchReport> {
        self.health.report().into_iter().find(|branch| branch.name == name)
    }

    pub(crate) fn end(self) {
        self.shutdown.trigger(Stop::Graceful);
        self.camera.join(Duration::from_secs(20));
    }
}
