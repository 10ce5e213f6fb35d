//! Makes elements and sets properties without ever panicking on a missing one: vendor elements differ by release.

use std::time::Duration;

use gst::prelude::*;

use super::Error;

/// Makes an element with a name of its own, which then appears in faults and in the log.
pub fn make(factory: &str, name: &str) -> Result<gst::Element, Error> {
    gst::ElementFactory::make(factory).name(name).build().map_err(|_| Error::Missing { element: factory.to_owned() })
}

/// Sets a property to a typed value; a missing property or a wrong type is an error, not a panic.
pub fn set(
    object: &impl IsA<gst::glib::Object>,
    property: &str,
    value: impl Into<gst::glib::Value>,
) -> Result<(), Error> {
    let (object, value) = (object.upcast_ref(), value.into());
    let refused = || refused(object, property, &format!("{value:?}"));
    let spec = object.find_property(property).ok_or_else(refused)?;
    if !value.type_().is_a(spec.value_type()) || !spec.flags().contains(gst::glib::ParamFlags::WRITABLE) {
        return Err(refused());
    }
    object.set_property_from_value(property, &value);
    Ok(())
}

/// Sets a property from text: enums by nick, flags by nick, numbers in decimal.
pub fn set_from_text(element: &gst::Element, property: &str, value: &str) -> Result<(), Error> {
    let refused = || refused(element.upcast_ref(), property, value);
    let spec = element.find_property(property).ok_or_else(refused)?;
    let parsed = gst::glib::Value::deserialize_with_pspec(value, &spec).map_err(|_| refused())?;
    if !spec.flags().contains(gst::glib::ParamFlags::WRITABLE) {
        return Err(refused());
    }
    element.set_property_from_value(property, &parsed);
    Ok(())
}

fn refused(object: &gst::glib::Object, property: &str, value: &str) -> Error {
    let factory = object.downcast_ref::<gst::Element>().and_then(gst::prelude::ElementExt::factory);
    let name = factory.map_or_else(|| object.type_().name().to_owned(), |f| f.name().to_string());
    Error::Property { element: name, property: property.to_owned(), value: value.to_owned() }
}

/// Calls `frame` on the streaming thread for every sample of an appsink, with its capture time on the monotonic
/// clock. Samples without a time stamp are passed over: nothing downstream could place them.
pub fn connect_frames(sink: &gst_app::AppSink, mut frame: impl FnMut(gst::Sample, Duration) + Send + 'static) {
    let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        if let Some(time) = super::running_time(&sample, sink.base_time()) {
            frame(sample, time);
        }
        Ok(gst::FlowSuccess::Ok)
    });
    sink.set_callbacks(callbacks.build());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_property_or_a_wrong_type_is_an_error() {
        gst::init().unwrap();
        let queue = make("queue", "q").unwrap();
        assert!(set(&queue, "max-size-buffers", 3u32).is_ok());
        assert!(set(&queue, "max-size-buffers", "three").is_err());
        assert!(set_from_text(&queue, "leaky", "downstream").is_ok());
        assert!(set_from_text(&queue, "leaky", "sideways").is_err());
        assert!(set_from_text(&queue, "current-level-buffers", "1").is_err(), "it can only be read");
        let error = set(&queue, "no-such-thing", 3u32).unwrap_err();
        assert!(error.to_string().starts_with("queue does not take no-such-thing="), "{error}");
        assert!(make("no-such-element", "x").unwrap_err().to_string().contains("not installed"));
    }
}
