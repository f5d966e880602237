//! Rows as columns and back.

use bytes::Bytes;
use parquet::data_type::{ByteArray, FixedLenByteArray};

/// The values of one required column in a row group.
#[derive(Clone, Debug)]
pub enum Column {
    /// Parquet `BOOLEAN`.
    Bool(Vec<bool>),
    /// Parquet `INT32`.
    Int32(Vec<i32>),
    /// Parquet `INT64`.
    Int64(Vec<i64>),
    /// Parquet `BYTE_ARRAY`.
    Bytes(Vec<ByteArray>),
    /// Parquet `FIXED_LEN_BYTE_ARRAY`.
    Fixed(Vec<FixedLenByteArray>),
}

impl Column {
    pub(crate) fn bools(values: impl Iterator<Item = bool>) -> Self {
        Self::Bool(values.collect())
    }

    /// Unsigned numbers keep their bits; the schema says that they are unsigned.
    pub(crate) fn u32s(values: impl Iterator<Item = u32>) -> Self {
        Self::Int32(values.map(u32::cast_signed).collect())
    }

    pub(crate) fn u64s(values: impl Iterator<Item = u64>) -> Self {
        Self::Int64(values.map(u64::cast_signed).collect())
    }

    pub(crate) fn i64s(values: impl Iterator<Item = i64>) -> Self {
        Self::Int64(values.collect())
    }

    pub(crate) fn bytes(values: impl Iterator<Item = Bytes>) -> Self {
        Self::Bytes(values.map(ByteArray::from).collect())
    }

    pub(crate) fn fixed<const N: usize>(values: impl Iterator<Item = [u8; N]>) -> Self {
        Self::Fixed(values.map(|value| FixedLenByteArray::from(value.to_vec())).collect())
    }
}

/// A row that can become columns of a run.
pub trait ColumnRow: Sized {
    /// The Parquet schema, as a message type.
    const SCHEMA: &'static str;

    /// The rows as columns, in the order of the schema.
    #[doc(hidden)]
    fn to_columns(rows: &[Self]) -> Vec<Column>;

    /// The rows of a row group; `None` if a value is out of its range.
    #[doc(hidden)]
    fn from_columns(columns: Columns, rows: usize) -> Option<Vec<Self>>;
}

/// Takes columns one after the other, in the order of the schema.
#[derive(Debug)]
pub struct Columns(pub(super) std::vec::IntoIter<Column>);

impl Columns {
    pub(crate) fn bools(&mut self) -> Option<impl Iterator<Item = bool> + use<>> {
        if let Column::Bool(values) = self.0.next()? { Some(values.into_iter()) } else { None }
    }

    pub(crate) fn u32s(&mut self) -> Option<impl Iterator<Item = u32> + use<>> {
        if let Column::Int32(values) = self.0.next()? { Some(values.into_iter().map(i32::cast_unsigned)) } else { None }
    }

    pub(crate) fn u64s(&mut self) -> Option<impl Iterator<Item = u64> + use<>> {
        if let Column::Int64(values) = self.0.next()? { Some(values.into_iter().map(i64::cast_unsigned)) } else { None }
    }

    pub(crate) fn i64s(&mut self) -> Option<impl Iterator<Item = i64> + use<>> {
        if let Column::Int64(values) = self.0.next()? { Some(values.into_iter()) } else { None }
    }

    /// Values are copied: a slice of a page would keep the whole page in memory.
    pub(crate) fn bytes(&mut self) -> Option<impl Iterator<Item = Bytes> + use<>> {
        let copied = |value: ByteArray| Bytes::copy_from_slice(value.data());
        if let Column::Bytes(values) = self.0.next()? { Some(values.into_iter().map(copied)) } else { None }
    }

    pub(crate) fn fixed<const N: usize>(&mut self) -> Option<impl Iterator<Item = Option<[u8; N]>> + use<N>> {
        let array = |value: FixedLenByteArray| value.data().try_into().ok();
        if let Column::Fixed(values) = self.0.next()? { Some(values.into_iter().map(array)) } else { None }
    }
}
