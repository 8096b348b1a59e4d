//! Reading texts of queries, of which long ones would keep an async thread from others.

use crate::error::ApiError;

/// What is this long is read in less time than another thread takes to wake, bytes.
const SHORT_BYTES: usize = 4 << 10;

/// Reads a text, off the async threads if it is long.
pub(crate) async fn read<T: Send + 'static>(
    text: &str,
    read: impl FnOnce(&str) -> T + Send + 'static,
) -> Result<T, ApiError> {
    if text.len() <= SHORT_BYTES {
        return Ok(read(text));
    }
    let text = text.to_owned();
    tokio::task::spawn_blocking(move || read(&text)).await.map_err(ApiError::internal)
}
