//! Keys that are not keys here: names that people know from other systems, and keys that come later.

/// Known from mediamtx, go2rtc, Frigate, motionEye and similar systems, with the name here.
const RENAMED: &[(&str, &str)] = &[
    ("recording.segment_duration", "stream.record.segment"),
    ("recording.enabled", "stream.record.enabled"),
    ("recording.path", "storage.path"),
    ("record.enabled", "stream.record.enabled"),
    ("record.path", "storage.path"),
    ("record.retain.days", "storage.max_age"),
    ("record.segment_duration", "stream.record.segment"),
    ("recordPath", "storage.path"),
    ("recordSegmentDuration", "stream.record.segment"),
    ("recordDeleteAfter", "storage.max_age"),
    ("rtspAddress", "rtsp.listen"),
    ("rtsp.port", "rtsp.listen"),
    ("rtsp.address", "rtsp.listen"),
    ("rtsp.max_clients", "limits.max_viewers"),
    ("http.port", "http.listen"),
    ("http.address", "http.listen"),
    ("api.listen", "http.listen"),
    ("apiAddress", "http.listen"),
    ("camera.device", "stream.source"),
    ("camera.framerate", "stream.fps"),
    ("camera.width", "stream.size"),
    ("camera.height", "stream.size"),
    ("video.bitrate", "stream.encode.bitrate"),
    ("video.width", "stream.size"),
    ("video.height", "stream.size"),
    ("video.fps", "stream.fps"),
    ("stream.width", "stream.size"),
    ("stream.height", "stream.size"),
    ("stream.framerate", "stream.fps"),
    ("stream.rotation", "stream.flip"),
    ("stream.bitrate", "stream.encode.bitrate"),
    ("stream.device", "stream.source"),
    ("stream.name", "stream.id"),
    ("stream.encode.gop", "stream.encode.keyframe_every"),
    ("stream.record.segment_duration", "stream.record.segment"),
    ("stream.record.path", "storage.path"),
    ("stream.snapshot.interval", "stream.snapshot.every"),
    ("storage.max_days", "storage.max_age"),
    ("storage.min_free", "storage.keep_free"),
];

/// Keys of the design that this version has not, with what they are.
const LATER: &[(&str, &str)] = &[
    ("stream.link", "the second encode for the radio link"),
    ("stream.infer", "detection"),
    ("stream.on_demand", "opening a source for its first viewer"),
    ("stream.record.preroll", "the pre-roll"),
    ("stream.source.url", "the network camera"),
    ("stream_defaults.on_demand", "opening a source for its first viewer"),
    ("stream_defaults.retry_timeout", "the offline state"),
    ("stream_defaults.auto_remove_after", "the removal of absent streams"),
    ("stream_defaults.health_check_interval", "the setting of the health checks"),
    ("stream_defaults.when_idle", "stopping idle streams"),
    ("users", "the log-in"),
    ("push", "pushing to another server"),
];

/// The message and advice for a key that is not ours but known: by its path without indexes.
pub(crate) fn answer(path: &str) -> Option<(String, String)> {
    if let Some((_, what)) = LATER.iter().find(|(name, _)| *name == path) {
        let message = format!("{what} comes with a later version of Windhover");
        return Some((message, "leave the key out".into()));
    }
    let (_, new) = RENAMED.iter().find(|(name, _)| *name == path)?;
    Some(("unknown key, known from other systems".into(), format!("it is called {new} here")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::Settings;
    use crate::config::section::{Key, Section, Shape};

    fn known(keys: &[Key], path: &str) -> bool {
        let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
        keys.iter().find(|key| key.name == head).is_some_and(|key| match (rest, key.shape) {
            (None, _) => true,
            (Some(rest), Shape::Table(inner) | Shape::Tables(inner)) => known(inner, rest),
            (Some(_), Shape::Value { .. }) => false,
        })
    }

    #[test]
    fn new_names_exist_and_old_ones_do_not() {
        for (old, new) in RENAMED {
            assert!(known(Settings::KEYS, new), "{new} is no key");
            assert!(!known(Settings::KEYS, old), "{old} is a key");
        }
        for (later, _) in LATER {
            assert!(!known(Settings::KEYS, later), "{later} is a key now");
        }
    }
}
