//! The system calls that the standard library has no function for, as safe functions.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::vectors::Vectors;

/// Reads what is in the page cache; `WouldBlock` where it is not, `Unsupported` where the file
/// system cannot tell.
pub(super) fn read_resident(
    file: BorrowedFd<'_>,
    buffer: &mut [u8],
    offset: u64,
) -> io::Result<usize> {
    let offset = file_offset(offset)?;
    let vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    retried(|| {
        // SAFETY: `vector` describes `buffer`, which is borrowed mutably until the call is over.
        unsafe { libc::preadv2(file.as_raw_fd(), &vector, 1, offset, libc::RWF_NOWAIT) }
    })
}

/// Writes the buffers one after the other, perhaps not all.
pub(super) fn write_vectors(
    file: BorrowedFd<'_>,
    vectors: &Vectors,
    offset: u64,
) -> io::Result<usize> {
    let offset = file_offset(offset)?;
    let array = vectors.array();
    let count = libc::c_int::try_from(array.len()).expect("Vectors bounds the array");
    retried(|| {
        // SAFETY: `array` has `count` elements, and each describes bytes that `vectors` keeps.
        unsafe { libc::pwritev(file.as_raw_fd(), array.as_ptr(), count, offset) }
    })
}

/// Asks for the file's clean pages to be dropped from the page cache.
pub(super) fn drop_pages(file: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes a descriptor and numbers, no memory.
    let code = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    match code {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// How many pages of a mapping are in the page cache, in pages of [`page_length`].
pub(super) fn resident_pages(map: &memmap2::Mmap) -> io::Result<u64> {
    /// 256 MiB of a mapping for 64 KiB of answer.
    const PAGES_MAX: usize = 1 << 16;
    let mut answer = vec![0; PAGES_MAX];
    let mut resident = 0;
    for piece in map.chunks(PAGES_MAX * page_length()) {
        let pages = piece.len().div_ceil(page_length());
        retried(|| {
            // SAFETY: `piece` lies in a mapping and begins at a page, because mappings do and all
            // pieces but the last are whole pages; `answer` has a byte for each page of it. Only
            // addresses are passed: the mapping is not read.
            let code = unsafe {
                libc::mincore(piece.as_ptr().cast_mut().cast(), piece.len(), answer.as_mut_ptr())
            };
            libc::ssize_t::try_from(code).expect("a C int fits")
        })?;
        resident += answer[..pages].iter().map(|byte| u64::from(byte & 1)).sum::<u64>();
    }
    Ok(resident)
}

/// Bytes of a page of memory.
pub(super) fn page_length() -> usize {
    // SAFETY: takes a number, no memory.
    let length = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(length).expect("pages have a length")
}

/// Bytes that an ordinary user can still allocate in the file system of a file.
pub(super) fn free_bytes(file: BorrowedFd<'_>) -> io::Result<u64> {
    let mut answer = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    retried(|| {
        // SAFETY: `answer` is memory for one `statvfs`.
        let code = unsafe { libc::fstatvfs(file.as_raw_fd(), answer.as_mut_ptr()) };
        libc::ssize_t::try_from(code).expect("a C int fits")
    })?;
    // SAFETY: `fstatvfs` succeeded, so it filled the structure.
    let answer = unsafe { answer.assume_init() };
    Ok(answer.f_bavail.saturating_mul(answer.f_frsize))
}

/// Whether a write with `RWF_DSYNC` is synced when it completes. The flag is the file system's to
/// obey, and one that does not know it (9p, FUSE without a cache) writes and says nothing: so these
/// are only those whose sources do.
pub(super) fn syncs_with_writes(file: BorrowedFd<'_>) -> bool {
    let mut answer = std::mem::MaybeUninit::<libc::statfs>::uninit();
    let told = retried(|| {
        // SAFETY: `answer` is memory for one `statfs`.
        let code = unsafe { libc::fstatfs(file.as_raw_fd(), answer.as_mut_ptr()) };
        libc::ssize_t::try_from(code).expect("a C int fits")
    });
    if told.is_err() {
        return false;
    }
    // SAFETY: `fstatfs` succeeded, so it filled the structure.
    let kind = unsafe { answer.assume_init() }.f_type;
    [libc::EXT4_SUPER_MAGIC, libc::XFS_SUPER_MAGIC, libc::BTRFS_SUPER_MAGIC].contains(&kind)
}

/// An error where this process may not create names in the directory.
pub(super) fn check_writable(directory: BorrowedFd<'_>) -> io::Result<()> {
    let mode = libc::W_OK | libc::X_OK;
    retried(|| {
        // SAFETY: the path is a constant that ends with a zero.
        let code = unsafe {
            libc::faccessat(directory.as_raw_fd(), c".".as_ptr(), mode, libc::AT_EACCESS)
        };
        libc::ssize_t::try_from(code).expect("a C int fits")
    })?;
    Ok(())
}

/// A new eventfd, close-on-exec and never blocking.
pub(super) fn event_descriptor() -> io::Result<OwnedFd> {
    // SAFETY: takes numbers, no memory.
    let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// An offset as the kernel takes it.
pub(super) fn file_offset(offset: u64) -> io::Result<libc::off_t> {
    libc::off_t::try_from(offset).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Repeats a call that a signal interrupted; its result, or what errno says.
fn retried(mut call: impl FnMut() -> libc::ssize_t) -> io::Result<usize> {
    loop {
        if let Ok(count) = usize::try_from(call()) {
            return Ok(count);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
