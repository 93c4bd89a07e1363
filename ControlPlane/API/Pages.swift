import Core
import Crypto

/// A page for people who follow a link from a mail. The link's token stands behind `#`, which browsers do not send,
/// and is used by a click only: neither a mail scanner nor an access log can use it up or learn it. Nothing is
/// loaded from elsewhere, and nothing runs that is not in the page.
///
/// The script may use `token`; `send(path, body)`, which answers `{ok, status, json, detail}`; `say(text)`, which
/// fills the line of news; and `part(id)`. Paths are relative to `/v1/pages/`: `"../users/verify"`.
struct MailPage: Sendable {
    static let contentType = "text/html; charset=utf-8"

    /// Where links in mails lead; `publicURL` has no slash at its end.
    static func link(_ name: String, token: String, publicURL: String) -> String {
        "\(publicURL)/v1/pages/\(name)#token=\(token)"
    }

    let html: String
    private let policy: String

    /// `main` is HTML and `script` JavaScript, both ours: nothing that came from outside may be in them.
    init(title: String, main: String, script: String) {
        let code = "\n\(Self.prelude)\n\(script)\n"
        html = """
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>\(title) - Minecart</title>
            <style>\(Self.style)</style>
            </head>
            <body>
            <main>
            <h1>\(title)</h1>
            \(main)
            <p id="news" role="status"></p>
            <noscript><p>This page needs JavaScript.</p></noscript>
            </main>
            <script>\(code)</script>
            </body>
            </html>

            """
        policy = [
            "default-src 'none'", "style-src '\(Self.hash(Self.style))'", "script-src '\(Self.hash(code))'",
            "connect-src 'self'", "form-action 'none'", "base-uri 'none'", "frame-ancestors 'none'",
        ].joined(separator: "; ")
    }

    var reply: Reply {
        var reply = Reply.text(200, html, contentType: Self.contentType)
        reply.headers = [
            ("Content-Security-Policy", policy), ("Referrer-Policy", "no-referrer"),
            ("X-Frame-Options", "DENY"),
        ]
        return reply
    }

    /// CSP level 3: the digest of what stands between the tags.
    private static func hash(_ text: String) -> String {
        let digest = Base64URL.encode(SHA256.hash(Array(text.utf8)))
        return "sha256-\(digest.replacing("-", with: "+").replacing("_", with: "/"))="
    }

    private static let style = """
        body { font: 1.1rem/1.5 system-ui, sans-serif; margin: 0; background: #f4f4f0; color: #222 }
        main { max-width: 30rem; margin: 12vh auto 0; padding: 2rem; background: #fff; border-radius: .6rem }
        h1 { margin-top: 0; font-size: 1.5rem }
        label { display: block; margin: 1rem 0 }
        input { display: block; width: 100%; box-sizing: border-box; font: inherit; padding: .5rem }
        button { font: inherit; padding: .5rem 1.2rem; margin-right: .5rem; cursor: pointer }
        """

    private static let prelude = """
        const token = new URLSearchParams(location.hash.slice(1)).get("token") || "";
        const part = id => document.getElementById(id);
        const say = text => { part("news").textContent = text; };
        async function send(path, body) {
            const buttons = document.querySelectorAll("button");
            buttons.forEach(button => { button.disabled = true; });
            say("One moment…");
            const away = {
                ok: false, status: 0, json: {},
                detail: "Minecart cannot be reached right now. Try again in a moment."
            };
            try {
                const answer = await fetch(path, {
                    method: "POST", headers: { "Content-Type": "application/json" },
                    body: JSON.stringify(body)
                });
                const json = await answer.json().catch(() => ({}));
                const errors = (json.errors || []).map(error => error.pointer.slice(1) + " " + error.detail);
                const detail = errors.length ? errors.join("; ") + "." : json.detail || json.message || "";
                say(answer.ok ? "" : detail || away.detail);
                return { ok: answer.ok, status: answer.status, json: json, detail: detail };
            } catch (error) {
                say(away.detail);
                return away;
            } finally {
                buttons.forEach(button => { button.disabled = false; });
            }
        }
        """
}
