//! Which device a name stands for; the only file that names a backend.
//!
//! `flex` is always compiled in. `libtorch` needs the feature `tch`, `cuda:N` the feature `cuda`
//! (or `tch` with a LibTorch that has CUDA: `libtorch:N`), `wgpu` the feature `wgpu`.

use burn::tensor::Device;

/// A name that stands for no device of this build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The name is none we know.
    #[error("unknown device `{0}` (one of: auto, cpu, flex, libtorch, libtorch:0, cuda:0, wgpu)")]
    Unknown(String),
    /// The backend isn't in this binary.
    #[error("device `{name}` is not in this build (rebuild with feature `{feature}`: {how})")]
    NotCompiledIn {
        /// The device's name.
        name: String,
        /// The cargo feature that brings it.
        feature: &'static str,
        /// The command that builds with it.
        how: &'static str,
    },
}

/// A device that this build can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedDevice {
    /// Its canonical name: `flex`, `libtorch`, `libtorch:0`, `cuda:0`, `wgpu`.
    pub name: String,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Flex,
    #[cfg(feature = "tch")]
    Libtorch,
    #[cfg(feature = "tch")]
    LibtorchCuda(usize),
    #[cfg(feature = "cuda")]
    Cuda(usize),
    #[cfg(feature = "wgpu")]
    Wgpu,
}

impl ResolvedDevice {
    /// The device for inference: no autodiff.
    #[cfg_attr(feature = "tch", expect(deprecated, reason = "the last burn with LibTorch is pinned"))]
    pub fn device(&self) -> Device {
        match self.place {
            Place::Flex => Device::flex(),
            #[cfg(feature = "tch")]
            Place::Libtorch => Device::libtorch(),
            #[cfg(feature = "tch")]
            Place::LibtorchCuda(index) => Device::libtorch_cuda(index),
            #[cfg(feature = "cuda")]
            Place::Cuda(index) => Device::cuda(index),
            #[cfg(feature = "wgpu")]
            Place::Wgpu => Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
        }
    }

    /// The device for training: tensors made on it can require gradients.
    pub fn training(&self) -> Device {
        self.device().autodiff()
    }
}

/// The device that `name` stands for. `auto` and `cpu` are LibTorch where it is compiled in, else
/// flex; `cuda` is `cuda:0`.
///
/// # Errors
/// When there is no such device, or its backend isn't compiled in.
pub fn resolve(name: &str) -> Result<ResolvedDevice, DeviceError> {
    let (family, index) = match name.split_once(':') {
        None => (name, None),
        Some((family, digits)) => {
            let index = digits.parse::<u8>().map_err(|_| DeviceError::Unknown(name.to_owned()))?;
            (family, Some(usize::from(index)))
        }
    };
    match (family, index) {
        ("auto" | "cpu", None) => Ok(fastest_cpu()),
        ("flex", None) => Ok(ResolvedDevice { name: "flex".to_owned(), place: Place::Flex }),
        ("libtorch", index) => libtorch(name, index),
        ("cuda", index) => cuda(index.unwrap_or(0)),
        ("wgpu", None) => wgpu(),
        _ => Err(DeviceError::Unknown(name.to_owned())),
    }
}

/// The device that `name` stands for, for inference; [`ResolvedDevice::training`] for training.
///
/// # Errors
/// As [`resolve`].
pub fn device(name: &str) -> Result<Device, DeviceError> {
    Ok(resolve(name)?.device())
}

/// Whether tensors on `device` lie in this process's memory, computed by `flex`.
pub fn is_flex(device: &Device) -> bool {
    device.clone().without_autodiff() == Device::flex()
}

/// Whether tensors on `device` are LibTorch's.
#[cfg(feature = "tch")]
#[expect(deprecated, reason = "the last burn with LibTorch is pinned")]
pub fn is_libtorch(device: &Device) -> bool {
    let device = device.clone().without_autodiff();
    device == Device::libtorch() || (0..64).any(|index| device == Device::libtorch_cuda(index))
}

/// Whether tensors on `device` are LibTorch's: never, it isn't compiled in.
#[cfg(not(feature = "tch"))]
pub fn is_libtorch(_: &Device) -> bool {
    false
}

/// The names of the devices this build can use, the default first.
pub fn available() -> Vec<String> {
    let mut names = vec![fastest_cpu().name];
    for name in ["flex", "libtorch", "cuda:0", "wgpu"] {
        if resolve(name).is_ok() && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

#[cfg(feature = "tch")]
fn fastest_cpu() -> ResolvedDevice {
    ResolvedDevice { name: "libtorch".to_owned(), place: Place::Libtorch }
}

#[cfg(not(feature = "tch"))]
fn fastest_cpu() -> ResolvedDevice {
    ResolvedDevice { name: "flex".to_owned(), place: Place::Flex }
}

#[cfg(feature = "tch")]
fn libtorch(name: &str, index: Option<usize>) -> Result<ResolvedDevice, DeviceError> {
    let place = index.map_or(Place::Libtorch, Place::LibtorchCuda);
    Ok(ResolvedDevice { name: name.to_owned(), place })
}

#[cfg(not(feature = "tch"))]
fn libtorch(name: &str, _: Option<usize>) -> Result<ResolvedDevice, DeviceError> {
    let how = "`make libtorch`, then `make pipeline BACKEND=tch`";
    Err(DeviceError::NotCompiledIn { name: name.to_owned(), feature: "tch", how })
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> Result<ResolvedDevice, DeviceError> {
    Ok(ResolvedDevice { name: format!("cuda:{index}"), place: Place::Cuda(index) })
}

#[cfg(not(feature = "cuda"))]
fn cuda(index: usize) -> Result<ResolvedDevice, DeviceError> {
    let how = "`make pipeline BACKEND=cuda`";
    Err(DeviceError::NotCompiledIn { name: format!("cuda:{index}"), feature: "cuda", how })
}

#[cfg(feature = "wgpu")]
fn wgpu() -> Result<ResolvedDevice, DeviceError> {
    Ok(ResolvedDevice { name: "wgpu".to_owned(), place: Place::Wgpu })
}

#[cfg(not(feature = "wgpu"))]
fn wgpu() -> Result<ResolvedDevice, DeviceError> {
    let how = "`make pipeline BACKEND=wgpu`";
    Err(DeviceError::NotCompiledIn { name: "wgpu".to_owned(), feature: "wgpu", how })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flex_is_always_there_and_training_devices_record_gradients() {
        let flex = resolve("flex").unwrap();
        assert_eq!(flex.name, "flex");
        assert!(!flex.device().is_autodiff());
        assert!(flex.training().is_autodiff());
    }

    #[test]
    fn auto_and_cpu_are_the_same_device_and_listed_first() {
        assert_eq!(resolve("auto").unwrap(), resolve("cpu").unwrap());
        assert_eq!(available().first(), Some(&resolve("auto").unwrap().name));
    }

    #[test]
    fn unknown_devices_are_refused_with_the_list_of_names() {
        for name in ["gpu", "", "cuda:", "cuda:x", "cuda:-1", "flex:0", "cuda:999"] {
            let message = resolve(name).unwrap_err().to_string();
            assert!(message.contains("one of: auto"), "{name}: {message}");
        }
    }

    #[cfg(not(feature = "tch"))]
    #[test]
    fn a_backend_that_is_not_compiled_in_says_how_to_get_it() {
        let message = resolve("libtorch").unwrap_err().to_string();
        assert!(message.contains("feature `tch`") && message.contains("make libtorch"), "{message}");
    }
}
