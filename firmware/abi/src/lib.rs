//! The contract between user code and the kernel: selectors, services, status codes and memory layouts; plain data, no dependency.
