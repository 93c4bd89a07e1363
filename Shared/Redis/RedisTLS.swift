import IO
import TLS

/// TLS for `rediss://`, checked against the system's certificate authorities.
enum RedisTLS {
    /// Makes a codec per connection; plain connections need none.
    static func codecs(for url: RedisURL) -> () throws(CodecError) -> (any StreamCodec)? {
        guard url.isTLS else { return { () throws(CodecError) in nil } }
        let context = Result { () throws(TLSError) in try TLSClientContext(verify: .system(host: url.host)) }
        return { () throws(CodecError) in
            switch context {
            case .success(let context): return try context.codec()
            case .failure(let error): throw CodecError(error.reason)
            }
        }
    }
}
