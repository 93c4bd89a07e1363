import Core
import Domain

/// The pages behind the links of mails about people's own accounts.
enum PageRoutes {
    static let all = [
        page("verify", verify, "The page on which an e-mail address is confirmed."),
        page("forgot", forgot, "The page on which a new password is asked for."),
        page("reset", reset, "The page on which a new password is chosen."),
        page("change-email", changeEmail, "The page on which a new e-mail address is confirmed."),
    ]

    private static func page(_ name: String, _ page: MailPage, _ summary: String) -> Route {
        Route(
            "GET", "/v1/pages/\(name)", .anyone, gives: .text(page.html, contentType: MailPage.contentType),
            summary
        ) { _, _ in page.reply }
    }

    private static let verify = MailPage(
        title: "Confirm your e-mail address",
        main: """
            <p>One click, and your account is ready.</p>
            <p><button id="go">Confirm my address</button></p>
            """,
        script: """
            part("go").onclick = async () => {
                const answer = await send("../users/verify", { token });
                if (answer.ok) { part("go").remove(); say(answer.json.message); }
            };
            """)

    private static let changeEmail = MailPage(
        title: "Confirm your new e-mail address",
        main: """
            <p>From then on you sign in with this address, and mails go here.</p>
            <p><button id="go">Confirm my address</button></p>
            """,
        script: """
            part("go").onclick = async () => {
                const answer = await send("../email-changes/confirm", { token });
                if (answer.ok) { part("go").remove(); say(answer.json.message); }
            };
            """)

    private static let forgot = MailPage(
        title: "Choose a new password",
        main: """
            <form id="form">
            <label>Your e-mail address
            <input id="email" type="email" autocomplete="email" maxlength="254" required></label>
            <button>Send me a link</button>
            </form>
            """,
        script: """
            part("form").onsubmit = async event => {
                event.preventDefault();
                const answer = await send("../password-resets", { email: part("email").value });
                if (answer.ok) { part("form").remove(); say(answer.json.message); }
            };
            """)

    private static let reset = MailPage(
        title: "Choose a new password",
        main: """
            <form id="form">
            <label>New password, of at least \(PasswordRule.length.lowerBound) characters
            <input id="password" type="password" autocomplete="new-password" required
            minlength="\(PasswordRule.length.lowerBound)" maxlength="\(PasswordRule.length.upperBound)"></label>
            <label>The same once more
            <input id="again" type="password" autocomplete="new-password" required></label>
            <button>Set the password</button>
            </form>
            """,
        script: """
            part("form").onsubmit = async event => {
                event.preventDefault();
                const password = part("password").value;
                if (password !== part("again").value) { say("The two are not the same."); return; }
                const answer = await send("../password-resets/confirm", { token, password });
                if (answer.ok) { part("form").remove(); say(answer.json.message); }
            };
            """)
}
