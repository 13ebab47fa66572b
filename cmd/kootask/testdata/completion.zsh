#compdef kootask
# Completes kootask in zsh. Made by: kootask completion zsh
_kootask() {
	local curcontext=$curcontext state line
	local -a commands
	local -A opt_args
	commands=(
		'serve:Run the service.'
		'config:Print the configuration of serve that is in force, and where each value comes from.'
		'demo:Run the service on this machine with a stand-in for KooDrive, and print commands to try.'
		'simulate:Run only KooDrive'\''s stand-in, for tests.'
		'get:Show a task as it is now.'
		'watch:Show tasks as they change until they are finished.'
		'wait:Wait until tasks are finished.'
		'explain:Explain an error\: its meaning, cause and remedy, in English and Chinese.'
		'doctor:Ask a KooDrive how it speaks, and compare the answers with the dialect in force.'
		'version:Print the version.'
		'completion:Print a script that completes commands, flags and values in a shell.'
		'help:Explain kootask or one of its commands.'
	)
	_arguments -C \
		'(--help)-h[Show context-sensitive help.]' '(-h)--help[Show context-sensitive help.]' \
		'--version[Print the version.]' \
		'1:command:->command' \
		'*::argument:->argument'
	case $state in
	command)
		_describe command commands
		;;
	argument)
		case $words[1] in
		serve)
			_arguments \
				'(--help)-h[Show context-sensitive help.]' '(-h)--help[Show context-sensitive help.]' \
				'--version[Print the version.]' \
				'--config=[YAML file with values of flags: see docs/configuration.md.]:file:_files' \
				'--upstream-url=[Address of KooDrive, like https://cn.myhuaweicloud-koodrive.com.]:value: ' \
				'--upstream-allow-http[Allow an http address.]' \
				'--upstream-ca=[PEM file with the certificates to trust for KooDrive.]:file:_files' \
				'--upstream-proxy=[HTTP proxy for requests to KooDrive.]:value: ' \
				'--upstream-dialect=[YAML file with the differences between KooDrive and its documents: see docs/koodrive.md.]:file:_files' \
				'--upstream-auth=[Credential that KooDrive sees: caller (each caller'\''s own) or app (this service'\''s, for the user named in x-user-id).]:value:(caller app)' \
				'--app-id=[AppId of the app.]:value: ' \
				'--app-secret-file=[File with the AppSecret.]:file:_files' \
				'--app-rps-per-user=[Maximum requests per second for each user of the app (burst: 10 times that).]:value: ' \
				'--upstream-timeout=[Timeout of one request to KooDrive, at most 1m.]:value: ' \
				'--upstream-rps=[Maximum requests per second to KooDrive.]:value: ' \
				'--upstream-concurrency=[Maximum concurrent requests to KooDrive.]:value: ' \
				'--grpc-addr=[Address of the gRPC port.]:value: ' \
				'--http-addr=[Address of the HTTP port, for REST, JSON lines and server-sent events.]:value: ' \
				'--console[Serve the page at / and the API reference at /docs on the HTTP port.]' \
				'--no-console[Turn --console off.]' \
				'--admin-addr=[Address of the operator'\''s port: /metrics, /healthz, /readyz and, on a loopback address, /debug/pprof.]:value: ' \
				'--max-connections=[Maximum connections to the gRPC port, and to the HTTP port.]:value: ' \
				'--poll-min=[Interval between polls of a watched task after a change.]:value: ' \
				'--poll-max=[Longest interval between polls while nothing changes: at most 10m, because KooDrive'\''s sessions end after 20m.]:value: ' \
				'--poll-backoff-max=[Longest interval between polls while KooDrive fails.]:value: ' \
				'--heartbeat=[Silence after which a watch gets a heartbeat: 1s to 15s.]:value: ' \
				'--stale-after=[Time without a usable answer from KooDrive after which a watch ends: at least 1.2 times --poll-max plus --upstream-timeout.]:value: ' \
				'--watch-lifetime=[Duration after which a watch ends, ±20 %.]:value: ' \
				'--max-tasks=[Maximum watched tasks.]:value: ' \
				'--max-tasks-per-credential=[Maximum tasks watched with one credential.]:value: ' \
				'--new-tasks-per-peer=[New tasks per second that one address may start (burst: 10 times that).]:value: ' \
				'--shutdown-grace=[Maximum duration of a stop.]:value: ' \
				'--log-level=[Minimum level of log lines: debug, info, warn or error.]:value: ' \
				'--log-format=[Format of the log: json or text.]:value:(json text)' \
				'--tls-cert=[PEM file with the server'\''s certificate, followed by its intermediates.]:file:_files' \
				'--tls-key=[PEM file with the certificate'\''s private key.]:file:_files' \
				'--tls-client-ca=[PEM file with the authorities of client certificates.]:file:_files' \
				'--tls-client-san=[Subject alternative names, like DNS:orders.example or URI:spiffe://example/orders.]:value: ' \
				'--allow-plaintext[Allow other than loopback addresses without TLS, because a proxy in front terminates it.]' \
				'--oidc-issuer=[OpenID Connect issuer of the tokens that callers must present.]:value: ' \
				'--oidc-audience=[Required aud claim of these tokens.]:value: ' \
				'--oidc-ca=[PEM file with the certificates to trust for the issuer.]:file:_files' \
				'--oidc-proxy=[HTTP proxy for requests to the issuer.]:value: ' \
				'--oidc-header=[Header with the caller'\''s token: x-kootask-authorization or, with --upstream-auth=app, authorization.]:value:(x-kootask-authorization authorization)' \
				'--policy-file=[YAML file that says which callers may act for which KooDrive users.]:file:_files' \
				'--failed-per-peer=[Failed authentications per second allowed from one address (burst: 10 times that).]:value: ' \
				'--trusted-hops=[Number of proxies that every request passes.]:value: ' \
				'--cors-origin=[Origins whose pages may read answers, like https://tasks.example.]:value: ' \
				'--reflection[Enable gRPC server reflection.]' \
				'--shutdown-delay=[Time after SIGTERM during which only health and /readyz change, so that load balancers can react.]:value: ' \
				'--check[Check the flags and files, print all problems and exit.]' \
				'--online[With --check: connect to KooDrive too, without a request or a credential, and print each step.]'
			;;
		config)
			_arguments \
				'(--help)-h[Show context-sensitive help.]' '(-h)--help[Show context-sensitive help.]' \
				'--version[Print the version.]' \
				'--config=[YAML file with values of flags: see docs/configuration.md.]:file:_files' \
				'--upstream-url=[Address of KooDrive, like https://cn.myhuaweicloud-koodrive.com.]:value: ' \
				'--upstream-allow-http[Allow an http address.]' \
				'--upstream-ca=[PEM file with the certificates to trust for KooDrive.]:file:_files' \
				'--upstream-proxy=[HTTP proxy for requests to KooDrive.]:value: ' \
				'--upstream-dialect=[YAML file with the differences between KooDrive and its documents: see docs/koodrive.md.]:file:_files' \
				'--upstream-auth=[Credential that KooDrive sees: caller (each caller'\''s own) or app (this service'\''s, for the user named in x-user-id).]:value:(caller app)' \
				'--app-id=[AppId of the app.]:value: ' \
				'--app-secret-file=[File with the AppSecret.]:file:_files' \
				'--app-rps-per-user=[Maximum requests per second for each user of the app (burst: 10 times that).]:value: ' \
				'--upstream-timeout=[Timeout of one request to KooDrive, at most 1m.]:value: ' \
				'--upstream-rps=[Maximum requests per second to KooDrive.]:value: ' \
				'--upstream-concurrency=[Maximum concurrent requests to KooDrive.]:value: ' \
				'--grpc-addr=[Address of the gRPC port.]:value: ' \
				'--http-addr=[Address of the HTTP port, for REST, JSON lines and server-sent events.]:value: ' \
				'--console[Serve the page at / and the API reference at /docs on the HTTP port.]' \
				'--no-console[Turn --console off.]' \
				'--admin-addr=[Address of the operator'\''s port: /metrics, /healthz, /readyz and, on a loopback address, /debug/pprof.]:value: ' \
				'--max-connections=[Maximum connections to the gRPC port, and to the HTTP port.]:value: ' \
				'--poll-min=[Interval between polls of a watched task after a change.]:value: ' \
				'--poll-max=[Longest interval between polls while nothing changes: at most 10m, because KooDrive'\''s sessions end after 20m.]:value: ' \
				'--poll-backoff-max=[Longest interval between polls while KooDrive fails.]:value: ' \
				'--heartbeat=[Silence after which a watch gets a heartbeat: 1s to 15s.]:value: ' \
				'--stale-after=[Time without a usable answer from KooDrive after which a watch ends: at least 1.2 times --poll-max plus --upstream-timeout.]:value: ' \
				'--watch-lifetime=[Duration after which a watch ends, ±20 %.]:value: ' \
				'--max-tasks=[Maximum watched tasks.]:value: ' \
				'--max-tasks-per-credential=[Maximum tasks watched with one credential.]:value: ' \
				'--new-tasks-per-peer=[New tasks per second that one address may start (burst: 10 times that).]:value: ' \
				'--shutdown-grace=[Maximum duration of a stop.]:value: ' \
				'--log-level=[Minimum level of log lines: debug, info, warn or error.]:value: ' \
				'--log-format=[Format of the log: json or text.]:value:(json text)' \
				'--tls-cert=[PEM file with the server'\''s certificate, followed by its intermediates.]:file:_files' \
				'--tls-key=[PEM file with the certificate'\''s private key.]:file:_files' \
				'--tls-client-ca=[PEM file with the authorities of client certificates.]:file:_files' \
				'--tls-client-san=[Subject alternative names, like DNS:orders.example or URI:spiffe://example/orders.]:value: ' \
				'--allow-plaintext[Allow other than loopback addresses without TLS, because a proxy in front terminates it.]' \
				'--oidc-issuer=[OpenID Connect issuer of the tokens that callers must present.]:value: ' \
				'--oidc-audience=[Required aud claim of these tokens.]:value: ' \
				'--oidc-ca=[PEM file with the certificates to trust for the issuer.]:file:_files' \
				'--oidc-proxy=[HTTP proxy for requests to the issuer.]:value: ' \
				'--oidc-header=[Header with the caller'\''s token: x-kootask-authorization or, with --upstream-auth=app, authorization.]:value:(x-kootask-authorization authorization)' \
				'--policy-file=[YAML file that says which callers may act for which KooDrive users.]:file:_files' \
				'--failed-per-peer=[Failed authentications per second allowed from one address (burst: 10 times that).]:value: ' \
				'--trusted-hops=[Number of proxies that every request passes.]:value: ' \
				'--cors-origin=[Origins whose pages may read answers, like https://tasks.example.]:value: ' \
				'--reflection[Enable gRPC server reflection.]' \
				'--shutdown-delay=[Time after SIGTERM during which only health and /readyz change, so that load balancers can react.]:value: '
			;;
		demo)
			_arguments \
				'(--help)-h[Show context-sensitive help.]' '(-h)--help[Show context-sensitive help.]' \
				'--version[Print the version.]' \
				'--upstream-auth=[Credential that KooDrive sees: caller (each caller'\''s own) or app (this service'\''s, for the user named in x-user-id).]:value:(caller app)' \
				'--app-id=[AppId of the app.]:value: ' \
				'--app-secret-file=[File with the AppSecret.]:file:_files' \
				'--app-rps-per-user=[Maximum requests per second for each user of the app (burst: 10 times that).]:value: ' \
				'--upstream-timeout=[Timeout of one request to KooDrive, at most 1m.]:value: ' \
				'--upstream-rps=[Maximum requests per second to KooDrive.]:value: ' \
				'--upstream-concurrency=[Maximum concurrent requests to KooDrive.]:value: ' \
				'--grpc-addr=[Address of the gRPC port.]:value: ' \
				'--http-addr=[Address of the HTTP port, for REST, JSON lines and server-sent events.]:value: ' \
				'--console[Serve the page at / and the API reference at /docs on the HTTP port.]' \
				'--no-console[Turn --console off.]' \
				'--admin-addr=[Address of the operator'\''s port: /metrics, /healthz, /readyz and, on a loopback address, /debug/pprof.]:value: ' \
				'--max-connections=[Maximum connections to the gRPC port, and to the HTTP port.]:value: ' \
				'--poll-min=[Interval between polls of a watched task after a change.]:value: ' \
				'--poll-max=[Longest interval between polls while nothing changes: at most 10m, because KooDrive'\''s sessions end after 20m.]:value: ' \
				'--poll-backoff-max=[Longest interval between polls while KooDrive fails.]:value: ' \
				'--heartbeat=[Silence after which a watch gets a heartbeat: 1s to 15s.]:value: ' \
				'--stale-after=[Time without a usable answer from KooDrive after which a watch ends: at least 1.2 times --poll-max plus --upstream-timeout.]:value: ' \
				'--watch-lifetime=[Duration after which a watch ends, ±20 %.]:value: ' \
				'--max-tasks=[Maximum watched tasks.]:value: ' \
				'--max-tasks-per-credential=[Maximum tasks watched with one credential.]:value: ' \
				'--new-tasks-per-peer=[New tasks per second that one address may start (burst: 10 times that).]:value: ' \
				'--shutdown-grace=[Maximum duration of a stop.]:value: ' \
				'--log-level=[Minimum level of log lines: debug, info, warn or error.]:value: ' \
				'--log-format=[Format of the log: json or text.]:value:(json text)' \
				'--cors-origin=[Origins whose pages may read answers, like https://tasks.example.]:value: ' \
				'--reflection[Enable gRPC server reflection.]' \
				'--no-reflection[Turn --reflection off.]' \
				'--shutdown-delay=[Time after SIGTERM during which only health and /readyz change.]:value: '
			;;
		simulate)
			_arguments \
				'(--help)-h[Show context-sensitive help.]' '(-h)--help[Show context-sensitive help.]' \
				'--version[Print the version.]' \
				'--addr=[Address of KooDrive'\''s stand-in.]:value: ' \
				'--dialect=[YAML file with the dialect of the stand-in: see docs/koodrive.md.]:file:_files' \
				'--script=[JSON file with the credentials, tasks and faults, as docs/simulate.md describes.]:file:_files'
			;;
		get)
			_arguments \
				'(--help)-h[Show context-sensitive help.]' '(-h)--help[Show context-sensitive help.]' \
				'--version[Print the version.]' \
				'--context=[Named connection of --context-file.]:value: ' \
				'--context-file=[File with named connections, which only its owner may read.]:file:_files' \
				'--addr=[kootask'\''s gRPC address.]:value: ' \
				'--tls[Use TLS, and trust the system'\''s certificates.]' \
				'--ca=[PEM file with the certificates to trust, in place of the system'\''s.]:file:_files' \
				'--cert=[PEM file with the client certificate, for a kootask that requires one.]:file:_files' \
				'--key=[PEM file with the certificate'\''s private key.]:file:_files' \
				'--caller-token-file=[File with the token that authenticates you to kootask.]:file:_files' \
				'--allow-plaintext[Send credentials in plaintext to other than loopback addresses.]' \
				'--token-file=[File with the KooDrive token.]:file:_files' \
				'--user-id=[KooDrive user to act for, where kootask signs with an app'\''s secret.]:value: ' \
				'(--output)-o+[Form of the output: auto (for people, live on a terminal) or json (one object per line).]:value:(auto json)' '(-o)--output=[Form of the output: auto (for people, live on a terminal) or json (one object per line).]:value:(auto json)' \
				'--color=[Colours: auto (on a terminal, unless NO_COLOR is set), always or never.]:value:(auto always never)' \
				'--timeout=[Maximum wait for the answers.]:value: ' \
				'*:id: '
			;;
		watch)
			_arguments \
				'(--help)-h[Show context-sensitive help.]' '(-h)--help[Show context-sensitive help.]' \
				'--version[Print the version.]' \
				'--context=[Named connection of --context-file.]:value: ' \
				'--context-file=[File with named connections, which only its owner may read.]:file:_files' \
				'--addr=[kootask'\''s gRPC address.]:value: ' \
				'--tls[Use TLS, and trust the system'\''s certificates.]' \
				'--ca=[PEM file with the certificates to trust, in place of the system'\''s.]:file:_files' \
				'--cert=[PEM file with the client certificate, for a kootask that requires one.]:file:_files' \
				'--key=[PEM file with the certificate'\''s private key.]:file:_files' \
				'--caller-token-file=[File with the token that authenticates you to kootask.]:file:_files' \
				'--allow-plaintext[Send credentials in plaintext to other than loopback addresses.]' \
				'--token-file=[File with the KooDrive token.]:file:_files' \
				'--user-id=[KooDrive user to act for, where kootask signs with an app'\''s secret.]:value: ' \
				'(--output)-o+[Form of the output: auto (for people, live on a terminal) or json (one object per line).]:value:(auto json)' '(-o)--output=[Form of the output: auto (for people, live on a terminal) or json (one object per line).]:value:(auto json)' \
				'--color=[Colours: auto (on a terminal, unless NO_COLOR is set), always or never.]:value:(auto always never)' \
				'*:id: '
			;;
		wait)
			_arguments \
				'(--help)-h[Show context-sensitive help.]' '(-h)--help[Show context-sensitive help.]' \
				'--version[Print the version.]' \
				'--context=[Named connection of --context-file.]:value: ' \
				'--context-file=[File with named connections, which only its owner may read.]:file:_files' \
				'--addr=[kootask'\''s gRPC address.]:value: ' \
				'--tls[Use TLS, and trust the system'\''s certificates.]' \
				'--ca=[PEM file with the certificates to trust, in place of the system'\''s.]:file:_files' \
				'--cert=[PEM file with the client certificate, for a kootask that requires one.]:file:_files' \
				'--key=[PEM file with the certificate'\''s private key.]:file:_files' \
				'--caller-token-file=[File with the token that authenticates you to kootask.]:file:_files' \
				'--allow-plaintext[Send credentials in plaintext to other than loopback addresses.]' \
				'--token-file=[File with the KooDrive token.]:file:_files' \
				'--user-id=[KooDrive user to act for, where kootask signs with an app'\''s secret.]:value: ' \
				'(--output)-o+[Form of the output: auto (for people, live on a terminal) or json (one object per line).]:value:(auto json)' '(-o)--output=[Form of the output: auto (for people, live on a terminal) or json (one object per line).]:value:(auto json)' \
				'--timeout=[Maximum wait.]:value: ' \
				'*:id: '
			;;
		explain)
			_arguments \
				'(--help)-h[Show context-sensitive help.]' '(-h)--help[Show context-sensitive help.]' \
				'--version[Print the version.]' \
				'--dialect=[Dialect of the server, for the meaning of codes: see docs/koodrive.md.]:file:_files' \
				'*:reason|code: '
			;;
		doctor)
			_arguments \
				'(--help)-h[Show context-sensitive help.]' '(-h)--help[Show context-sensitive help.]' \
				'--version[Print the version.]' \
				'--upstream-url=[Address of KooDrive, like https://cn.myhuaweicloud-koodrive.com.]:value: ' \
				'--upstream-allow-http[Allow an http address.]' \
				'--upstream-ca=[PEM file with the certificates to trust for KooDrive.]:file:_files' \
				'--upstream-proxy=[HTTP proxy for requests to KooDrive.]:value: ' \
				'--upstream-dialect=[YAML file with the differences between KooDrive and its documents: see docs/koodrive.md.]:file:_files' \
				'--upstream-auth=[Credential that KooDrive sees: caller (each caller'\''s own) or app (this service'\''s, for the user named in x-user-id).]:value:(caller app)' \
				'--app-id=[AppId of the app.]:value: ' \
				'--app-secret-file=[File with the AppSecret.]:file:_files' \
				'--task-id=[Id of a KooDrive task that the credential may see.]:value: ' \
				'--token-file=[File with the KooDrive token.]:file:_files' \
				'--user-id=[KooDrive user, sent as X-User-Id.]:value: ' \
				'--ask-refusals[Ask one more question, with a fixed fake token.]' \
				'(--output)-o+[Form of the report: auto (for people) or json (one object).]:value:(auto json)' '(-o)--output=[Form of the report: auto (for people) or json (one object).]:value:(auto json)' \
				'--write=[New file for the dialect that was found, for --upstream-dialect.]:file:_files'
			;;
		version)
			_arguments \
				'(--help)-h[Show context-sensitive help.]' '(-h)--help[Show context-sensitive help.]' \
				'--version[Print the version.]'
			;;
		completion)
			_arguments \
				'(--help)-h[Show context-sensitive help.]' '(-h)--help[Show context-sensitive help.]' \
				'--version[Print the version.]' \
				'*:shell:(bash zsh fish)'
			;;
		help)
			_arguments \
				'(--help)-h[Show context-sensitive help.]' '(-h)--help[Show context-sensitive help.]' \
				'--version[Print the version.]' \
				'*:command:(serve config demo simulate get watch wait explain doctor version completion help)'
			;;
		esac
		;;
	esac
}
if [ "$funcstack[1]" = _kootask ]; then
	_kootask "$@"
else
	compdef _kootask kootask
fi
