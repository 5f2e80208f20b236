//! Names for everything the cache declines to do, so that no request is a mystery.

macro_rules! reasons {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident => $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every reason, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in `Cache-Status` details, stats and logs.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The place in [`ALL`](Self::ALL).
            pub(crate) const fn index(self) -> usize {
                self as usize
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

reasons! {
    /// Why a request went past the cache (`fwd=bypass; detail=…`).
    Bypass {
        /// The method isn't one of the policy's.
        Method => "method",
        /// No pattern of the route table matches.
        NoRoute => "no-route",
        /// The request has, or may have, a body that the policy doesn't key.
        Body => "body",
        /// The body is over the policy's `key_body`.
        BodyTooLarge => "body-too-large",
        /// The body wasn't read within the time for it.
        BodyTimeout => "body-timeout",
        /// The body ended with trailers.
        BodyTrailers => "body-trailers",
        /// The body broke while it was read.
        BodyError => "body-error",
        /// The bodies read for keys are at their limit in all.
        BodyBudget => "body-budget",
        /// The key material is over its limit.
        KeyTooLong => "key-too-long",
        /// A part of the key can't be framed, such as two `Host` fields.
        KeyMalformed => "key-malformed",
        /// A request field carries credentials.
        Credentials => "credentials",
        /// A cookie that counts as a credential.
        Cookie => "cookie",
        /// `partition_by` gave no principal.
        NoPrincipal => "no-principal",
        /// A precondition that only the origin can judge: `If-Match` or `If-Unmodified-Since`, and under
        /// `Policy::ttl` no entry.
        Precondition => "precondition",
        /// A `Range` request.
        Range => "range",
        /// CONNECT, or a request to change the protocol.
        Upgrade => "upgrade",
        /// A gRPC request.
        Grpc => "grpc",
        /// `Connection` lists a field of the request that answers may depend on, and that services may not get to see.
        Connection => "connection",
        /// `cache_if` said no.
        CacheIf => "cache-if",
        /// A request directive, under `honor_request_directives`.
        RequestDirective => "request-directive",
        /// The request is already inside a fill of this handle.
        Nested => "nested",
        /// All fills that may run at once are running.
        FillsFull => "fills-full",
    }
}

reasons! {
    /// Why a response wasn't stored, or the cache answered by itself: the `detail` beside `fwd=miss` and, under `Policy::http`,
    /// `uri-miss`, `vary-miss`, `stale`, `partial`, `request`.
    Refusal {
        /// The status has no lifetime under the policy.
        Status => "status",
        /// A server error (5xx).
        ServerError => "server-error",
        /// No response to a request with this method is stored.
        Method => "method",
        /// `Cache-Control: no-store` of the request.
        RequestNoStore => "request-no-store",
        /// `Cache-Control: no-store`.
        NoStore => "no-store",
        /// `Cache-Control: must-understand`, and the status isn't one that the cache knows all about.
        MustUnderstand => "must-understand",
        /// The request had `Authorization`, and no directive of the response allows sharing (RFC 9111 §3.5).
        Authorization => "authorization",
        /// The handler's [`NoStore`](crate::NoStore) extension.
        HandlerNoStore => "handler-no-store",
        /// `Cache-Control: private`.
        Private => "private",
        /// `Cache-Control: no-cache`.
        NoCache => "no-cache",
        /// The freshness lifetime is zero or used up.
        ZeroLifetime => "zero-lifetime",
        /// The response sets a cookie.
        SetCookie => "set-cookie",
        /// `Vary: *`.
        VaryStar => "vary-star",
        /// The resource has all the variants it may have.
        VaryLimit => "vary-limit",
        /// `Access-Control-Allow-Origin` echoes `Origin` without `Vary: Origin`.
        OriginEcho => "origin-echo",
        /// A Content-Security-Policy with a nonce.
        CspNonce => "csp-nonce",
        /// An event stream, gRPC or another response that isn't meant to end.
        Streaming => "streaming",
        /// The body is over the policy's `max_body`.
        TooLarge => "too-large",
        /// The body ended with trailers, under `Policy::ttl`.
        Trailers => "trailers",
        /// The body broke.
        BodyError => "body-error",
        /// The body's length isn't the declared one.
        LengthMismatch => "length-mismatch",
        /// The recordings are at their limit in all.
        RecordingBudget => "recording-budget",
        /// `store_if` said no.
        StoreIf => "store-if",
        /// The answer to a HEAD request has no body to store.
        Head => "head",
        /// The fill took longer than it may.
        FillTimeout => "fill-timeout",
        /// The request waited for the origin as long as `hard_timeout` allows.
        HardTimeout => "hard-timeout",
        /// The fill was dropped before it had an answer.
        FillAborted => "fill-aborted",
        /// The response can't be written as an entry.
        Unencodable => "unencodable",
        /// The response's tags are too many, or one isn't a tag.
        Tags => "tags",
        /// The key wasn't used as often as `min_uses` asks for.
        MinUses => "min-uses",
        /// A purge came while the service was at work.
        Overtaken => "overtaken",
        /// It answers the request's own preconditions or range, and nobody else's request.
        RequestConditions => "request-conditions",
        /// The request takes only what is stored (`only-if-cached`), and nothing is.
        OnlyIfCached => "only-if-cached",
        /// The service failed, and the response that is stored must not be used without it.
        Disconnected => "disconnected",
    }
}

reasons! {
    /// Why a stale entry answered (`hit; ttl=-…; detail=…`, or `fwd=stale; detail=…` if the origin was asked).
    Stale {
        /// It is being revalidated (RFC 5861 §3).
        WhileRevalidate => "stale-while-revalidate",
        /// The origin failed (RFC 5861 §4).
        IfError => "stale-if-error",
        /// The origin failed a moment ago and is left alone.
        Throttled => "throttled",
        /// All fills that may run at once are running.
        FillsFull => "fills-full",
        /// Another request's fill took longer than `coalesce_timeout`.
        CoalesceTimeout => "coalesce-timeout",
        /// The origin took longer than `soft_timeout`.
        SoftTimeout => "soft-timeout",
        /// The origin took longer than `hard_timeout`.
        HardTimeout => "hard-timeout",
        /// The request accepts it (`max-stale`).
        MaxStale => "max-stale",
    }
}

impl Stale {
    /// Whether the answer comes after the origin was asked.
    pub(crate) const fn is_forwarded(self) -> bool {
        match self {
            Self::WhileRevalidate | Self::Throttled | Self::FillsFull | Self::MaxStale => false,
            Self::IfError | Self::CoalesceTimeout | Self::SoftTimeout | Self::HardTimeout => true,
        }
    }
}

impl Refusal {
    /// Whether the response is no answer but a failure, in whose place a stale entry may stand.
    pub(crate) const fn is_failure(self) -> bool {
        matches!(
            self,
            Self::BodyError
                | Self::LengthMismatch
                | Self::FillTimeout
                | Self::HardTimeout
                | Self::FillAborted
        )
    }

    /// Whether the next response for this key is likely to be refused too, so that requests needn't wait for
    /// it. What one requester can bring about for itself isn't: it would end collapsing for all others.
    pub(crate) const fn is_structural(self) -> bool {
        match self {
            Self::Status
            | Self::NoStore
            | Self::MustUnderstand
            | Self::HandlerNoStore
            | Self::Private
            | Self::NoCache
            | Self::ZeroLifetime
            | Self::SetCookie
            | Self::VaryStar
            | Self::CspNonce
            | Self::Streaming
            | Self::TooLarge
            | Self::Trailers
            // Counted for a body that streams longer than a fill may take; the next one will too.
            | Self::FillTimeout
            | Self::Unencodable
            | Self::Tags => true,
            Self::ServerError
            | Self::Method
            | Self::RequestNoStore
            | Self::Authorization
            | Self::VaryLimit
            | Self::OriginEcho
            | Self::BodyError
            | Self::LengthMismatch
            | Self::RecordingBudget
            | Self::StoreIf
            | Self::Head
            | Self::HardTimeout
            | Self::FillAborted
            | Self::MinUses
            | Self::Overtaken
            | Self::OnlyIfCached
            | Self::RequestConditions
            | Self::Disconnected => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Refusal;

    #[test]
    fn no_requester_ends_collapsing_for_the_others() {
        for refusal in [
            Refusal::OriginEcho,
            Refusal::StoreIf,
            Refusal::VaryLimit,
            Refusal::Head,
            Refusal::Method,
            Refusal::RequestNoStore,
            Refusal::Authorization,
        ] {
            assert!(!refusal.is_structural(), "{refusal}");
        }
    }

    #[test]
    fn what_will_be_refused_again_is_structural() {
        for refusal in [
            Refusal::SetCookie,
            Refusal::Private,
            Refusal::MustUnderstand,
            Refusal::VaryStar,
            Refusal::TooLarge,
            Refusal::FillTimeout,
        ] {
            assert!(refusal.is_structural(), "{refusal}");
        }
    }
}
