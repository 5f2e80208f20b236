//! Key material: an injective framing of the parts of a key.
//!
//! # Why no two lists of parts share their material
//!
//! Material is one [`Domain`] byte, then frames. A frame begins with its [`Field`] byte, and that byte alone
//! tells its shape:
//!
//! - a *part*: length (`u32`, little-endian), then as many bytes;
//! - a *list*: count (`u32`), then that many items, each a length (`u32`) and its bytes;
//! - a *body*: one byte for its form, length (`u64`), then as many bytes.
//!
//! A reader that knows the shapes always knows where the frame it reads ends, so material decodes to one
//! sequence of frames only. Lengths come before bytes, so that nothing inside a part can pass for a boundary.
//! A writer emits frames in one fixed order, each at most once, or, for repeated ones such as the chosen
//! headers, once for each name of a list that another frame fixes; a part that is absent has no frame, and an
//! empty one has a frame of length 0. Therefore equal material means equal parts.

use crate::policy::Bypass;

/// Most bytes of material, without the request's body.
pub(crate) const MAX_MATERIAL: usize = 16 << 10;

/// Where material goes: into a hasher, or into a `Vec` that a test compares.
pub(crate) trait Sink {
    /// Takes the next bytes.
    fn put(&mut self, bytes: &[u8]);
}

impl<S: Sink> Sink for &mut S {
    fn put(&mut self, bytes: &[u8]) {
        (**self).put(bytes);
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// What material is made for; its first byte. Equal parts in two domains give different material.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Domain {
    /// What is the same for all requests of one policy.
    Scope = 1,
    /// A request, without what `Vary` names.
    Primary = 2,
    /// A request field by field of a `Vary` record.
    Variant = 3,
    /// A resource of which a part is stored.
    Part = 4,
}

/// The kinds of frames. A number is never given to another kind: it would change what old keys mean.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Field {
    // Of the scope.
    /// Version of the framing.
    Version = 1,
    /// `CACHE_NAMESPACE`.
    Namespace = 2,
    /// `CACHE_APP`.
    App = 3,
    /// `CACHE_GENERATION`.
    Generation = 4,
    /// The policy's authority.
    FixedAuthority = 5,
    /// The policy's name for a stripped path prefix.
    Route = 6,
    /// List: names of the chosen headers.
    KeyHeaders = 7,
    /// List: names of the fields that carry credentials.
    CredentialFields = 8,
    /// List: names of the cookies that do.
    SessionCookies = 9,
    /// List: the only query parameters that count.
    AllowQuery = 10,
    /// List: query parameters that don't count.
    DenyQuery = 11,
    /// The policy's yes-or-no fields.
    Switches = 12,
    /// List: names of the response fields that aren't stored.
    PerRequestFields = 13,
    /// List: the policy's tags.
    Tags = 14,
    /// List: names of the response fields that bring tags.
    TagFields = 15,
    /// List: names of the targeted fields, in their order.
    TargetedFields = 16,
    // Of a request.
    /// Digest of all of the above.
    Scope = 32,
    /// Method class.
    Method = 33,
    /// The URI's scheme.
    Scheme = 34,
    /// The URI's authority, else `Host`.
    Authority = 35,
    /// `Host`, where it differs from the URI's authority.
    Host = 36,
    /// Path.
    Path = 37,
    /// The raw query.
    Query = 38,
    /// List: the query parameters that count.
    Parameters = 39,
    /// List: the lines of one chosen header.
    Header = 40,
    /// The partition.
    Principal = 41,
    /// List: the lines of `Content-Type`.
    ContentType = 42,
    /// List: the lines of `Content-Encoding`.
    ContentEncoding = 43,
    /// Body: the request's body.
    Body = 44,
    /// Scheme of the URI that goes on, where that isn't the original one.
    ForwardedScheme = 45,
    /// Its authority.
    ForwardedAuthority = 46,
    /// Its path; there whenever the URIs differ.
    ForwardedPath = 47,
    /// Its raw query.
    ForwardedQuery = 48,
    /// List: its query parameters that count.
    ForwardedParameters = 49,
    /// List: the lines of `Content-Language`, where there are any.
    ContentLanguage = 50,
    /// List: the lines of `Content-Location`, where there are any.
    ContentLocation = 51,
    // Of a variant.
    /// The key of the resource.
    PrimaryKey = 64,
    /// Name of a field that the resource varies by.
    VaryName = 65,
    /// List: its lines, joined to one.
    VaryLines = 66,
    /// List: its members, sorted.
    VarySet = 67,
}

/// The form of a body in its frame, so that raw bytes never pass for a canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Form {
    /// As it was sent.
    Raw = 1,
    /// JSON in the form of RFC 8785.
    CanonicalJson = 2,
}

/// Writes frames into a sink. Over the limit it fails, and the key isn't made: no part is ever dropped or
/// cut. It has no `Debug`: what it holds may be a credential.
pub(crate) struct Material<S> {
    sink: S,
    left: usize,
}

impl<S: Sink> Material<S> {
    /// Material for a request, at most [`MAX_MATERIAL`] bytes without the body.
    pub(crate) fn new(domain: Domain, sink: S) -> Self {
        Self::with_limit(domain, sink, MAX_MATERIAL)
    }

    /// Material of at most `limit` bytes without the body. Anything over `u32::MAX` is a limit of `u32::MAX`,
    /// since that is the most a length can say.
    pub(crate) fn with_limit(domain: Domain, mut sink: S, limit: usize) -> Self {
        sink.put(&[domain as u8]);
        Self { sink, left: limit.min(u32::MAX as usize) }
    }

    /// The sink, with all that was written.
    pub(crate) fn into_sink(self) -> S {
        self.sink
    }

    /// A present part.
    pub(crate) fn part(&mut self, field: Field, bytes: &[u8]) -> Result<(), Bypass> {
        self.header(field, bytes.len())?;
        self.bytes(bytes)
    }

    /// A part that may be absent.
    pub(crate) fn optional(&mut self, field: Field, bytes: Option<&[u8]>) -> Result<(), Bypass> {
        bytes.map_or(Ok(()), |bytes| self.part(field, bytes))
    }

    /// A present part whose ASCII letters count as small ones.
    pub(crate) fn lowercase(&mut self, field: Field, bytes: &[u8]) -> Result<(), Bypass> {
        self.header(field, bytes.len())?;
        let mut buffer = [0; 64];
        for chunk in bytes.chunks(buffer.len()) {
            let small = buffer.get_mut(..chunk.len()).ok_or(Bypass::KeyMalformed)?;
            small.copy_from_slice(chunk);
            small.make_ascii_lowercase();
            self.bytes(small)?;
        }
        Ok(())
    }

    /// A list. `items` is asked twice, since the count comes first.
    pub(crate) fn list<'a, I: Iterator<Item = &'a [u8]>>(
        &mut self,
        field: Field,
        items: impl Fn() -> I,
    ) -> Result<(), Bypass> {
        self.header(field, items().count())?;
        items().try_for_each(|item| {
            self.length(item.len())?;
            self.bytes(item)
        })
    }

    /// The body, which has a limit of its own.
    pub(crate) fn body(&mut self, form: Form, bytes: &[u8]) {
        self.sink.put(&[Field::Body as u8, form as u8]);
        self.sink.put(&(bytes.len() as u64).to_le_bytes());
        self.sink.put(bytes);
    }

    fn header(&mut self, field: Field, number: usize) -> Result<(), Bypass> {
        self.bytes(&[field as u8])?;
        self.length(number)
    }

    fn length(&mut self, number: usize) -> Result<(), Bypass> {
        let number = u32::try_from(number).map_err(|_| Bypass::KeyTooLong)?;
        self.bytes(&number.to_le_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Bypass> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(Bypass::KeyTooLong)?;
        self.sink.put(bytes);
        Ok(())
    }
}
