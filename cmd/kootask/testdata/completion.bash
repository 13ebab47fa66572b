# Completes kootask in bash. Made by: kootask completion bash
_kootask() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} prefix='' command='' i
	local flags='-h --help --version' arguments='serve config demo simulate get watch wait explain doctor version completion help' words=''
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-*) ;;
		*) command=${COMP_WORDS[i]}; break ;;
		esac
	done
	case $command in
	'') ;;
	serve) flags='-h --help --version --config --upstream-url --upstream-allow-http --upstream-ca --upstream-proxy --upstream-dialect --upstream-auth --app-id --app-secret-file --app-rps-per-user --upstream-timeout --upstream-rps --upstream-concurrency --grpc-addr --http-addr --console --no-console --admin-addr --max-connections --poll-min --poll-max --poll-backoff-max --heartbeat --stale-after --watch-lifetime --max-tasks --max-tasks-per-credential --new-tasks-per-peer --shutdown-grace --log-level --log-format --tls-cert --tls-key --tls-client-ca --tls-client-san --allow-plaintext --oidc-issuer --oidc-audience --oidc-ca --oidc-proxy --oidc-header --policy-file --failed-per-peer --trusted-hops --cors-origin --reflection --shutdown-delay --check --online' arguments='-h --help --version --config --upstream-url --upstream-allow-http --upstream-ca --upstream-proxy --upstream-dialect --upstream-auth --app-id --app-secret-file --app-rps-per-user --upstream-timeout --upstream-rps --upstream-concurrency --grpc-addr --http-addr --console --no-console --admin-addr --max-connections --poll-min --poll-max --poll-backoff-max --heartbeat --stale-after --watch-lifetime --max-tasks --max-tasks-per-credential --new-tasks-per-peer --shutdown-grace --log-level --log-format --tls-cert --tls-key --tls-client-ca --tls-client-san --allow-plaintext --oidc-issuer --oidc-audience --oidc-ca --oidc-proxy --oidc-header --policy-file --failed-per-peer --trusted-hops --cors-origin --reflection --shutdown-delay --check --online' ;;
	config) flags='-h --help --version --config --upstream-url --upstream-allow-http --upstream-ca --upstream-proxy --upstream-dialect --upstream-auth --app-id --app-secret-file --app-rps-per-user --upstream-timeout --upstream-rps --upstream-concurrency --grpc-addr --http-addr --console --no-console --admin-addr --max-connections --poll-min --poll-max --poll-backoff-max --heartbeat --stale-after --watch-lifetime --max-tasks --max-tasks-per-credential --new-tasks-per-peer --shutdown-grace --log-level --log-format --tls-cert --tls-key --tls-client-ca --tls-client-san --allow-plaintext --oidc-issuer --oidc-audience --oidc-ca --oidc-proxy --oidc-header --policy-file --failed-per-peer --trusted-hops --cors-origin --reflection --shutdown-delay' arguments='-h --help --version --config --upstream-url --upstream-allow-http --upstream-ca --upstream-proxy --upstream-dialect --upstream-auth --app-id --app-secret-file --app-rps-per-user --upstream-timeout --upstream-rps --upstream-concurrency --grpc-addr --http-addr --console --no-console --admin-addr --max-connections --poll-min --poll-max --poll-backoff-max --heartbeat --stale-after --watch-lifetime --max-tasks --max-tasks-per-credential --new-tasks-per-peer --shutdown-grace --log-level --log-format --tls-cert --tls-key --tls-client-ca --tls-client-san --allow-plaintext --oidc-issuer --oidc-audience --oidc-ca --oidc-proxy --oidc-header --policy-file --failed-per-peer --trusted-hops --cors-origin --reflection --shutdown-delay' ;;
	demo) flags='-h --help --version --upstream-auth --app-id --app-secret-file --app-rps-per-user --upstream-timeout --upstream-rps --upstream-concurrency --grpc-addr --http-addr --console --no-console --admin-addr --max-connections --poll-min --poll-max --poll-backoff-max --heartbeat --stale-after --watch-lifetime --max-tasks --max-tasks-per-credential --new-tasks-per-peer --shutdown-grace --log-level --log-format --cors-origin --reflection --no-reflection --shutdown-delay' arguments='-h --help --version --upstream-auth --app-id --app-secret-file --app-rps-per-user --upstream-timeout --upstream-rps --upstream-concurrency --grpc-addr --http-addr --console --no-console --admin-addr --max-connections --poll-min --poll-max --poll-backoff-max --heartbeat --stale-after --watch-lifetime --max-tasks --max-tasks-per-credential --new-tasks-per-peer --shutdown-grace --log-level --log-format --cors-origin --reflection --no-reflection --shutdown-delay' ;;
	simulate) flags='-h --help --version --addr --dialect --script' arguments='-h --help --version --addr --dialect --script' ;;
	get) flags='-h --help --version --context --context-file --addr --tls --ca --cert --key --caller-token-file --allow-plaintext --token-file --user-id -o --output --color --timeout' arguments='-h --help --version --context --context-file --addr --tls --ca --cert --key --caller-token-file --allow-plaintext --token-file --user-id -o --output --color --timeout' ;;
	watch) flags='-h --help --version --context --context-file --addr --tls --ca --cert --key --caller-token-file --allow-plaintext --token-file --user-id -o --output --color' arguments='-h --help --version --context --context-file --addr --tls --ca --cert --key --caller-token-file --allow-plaintext --token-file --user-id -o --output --color' ;;
	wait) flags='-h --help --version --context --context-file --addr --tls --ca --cert --key --caller-token-file --allow-plaintext --token-file --user-id -o --output --timeout' arguments='-h --help --version --context --context-file --addr --tls --ca --cert --key --caller-token-file --allow-plaintext --token-file --user-id -o --output --timeout' ;;
	explain) flags='-h --help --version --dialect' arguments='-h --help --version --dialect' ;;
	doctor) flags='-h --help --version --upstream-url --upstream-allow-http --upstream-ca --upstream-proxy --upstream-dialect --upstream-auth --app-id --app-secret-file --task-id --token-file --user-id --ask-refusals -o --output --write' arguments='-h --help --version --upstream-url --upstream-allow-http --upstream-ca --upstream-proxy --upstream-dialect --upstream-auth --app-id --app-secret-file --task-id --token-file --user-id --ask-refusals -o --output --write' ;;
	version) flags='-h --help --version' arguments='-h --help --version' ;;
	completion) flags='-h --help --version' arguments='bash zsh fish' ;;
	help) flags='-h --help --version' arguments='serve config demo simulate get watch wait explain doctor version completion help' ;;
	*) return ;;
	esac
	if [[ $current == '=' ]]; then
		current=''
	elif [[ $previous == '=' && $COMP_CWORD -ge 2 ]]; then
		previous=${COMP_WORDS[COMP_CWORD-2]}
	elif [[ $current == --*=* ]]; then
		previous=${current%%=*} prefix=$previous= current=${current#*=}
	fi
	case $command/$previous in
	serve/--config) compopt -o default 2>/dev/null; return ;;
	serve/--upstream-url) words='' ;;
	serve/--upstream-ca) compopt -o default 2>/dev/null; return ;;
	serve/--upstream-proxy) words='' ;;
	serve/--upstream-dialect) compopt -o default 2>/dev/null; return ;;
	serve/--upstream-auth) words='caller app' ;;
	serve/--app-id) words='' ;;
	serve/--app-secret-file) compopt -o default 2>/dev/null; return ;;
	serve/--app-rps-per-user) words='' ;;
	serve/--upstream-timeout) words='' ;;
	serve/--upstream-rps) words='' ;;
	serve/--upstream-concurrency) words='' ;;
	serve/--grpc-addr) words='' ;;
	serve/--http-addr) words='' ;;
	serve/--admin-addr) words='' ;;
	serve/--max-connections) words='' ;;
	serve/--poll-min) words='' ;;
	serve/--poll-max) words='' ;;
	serve/--poll-backoff-max) words='' ;;
	serve/--heartbeat) words='' ;;
	serve/--stale-after) words='' ;;
	serve/--watch-lifetime) words='' ;;
	serve/--max-tasks) words='' ;;
	serve/--max-tasks-per-credential) words='' ;;
	serve/--new-tasks-per-peer) words='' ;;
	serve/--shutdown-grace) words='' ;;
	serve/--log-level) words='' ;;
	serve/--log-format) words='json text' ;;
	serve/--tls-cert) compopt -o default 2>/dev/null; return ;;
	serve/--tls-key) compopt -o default 2>/dev/null; return ;;
	serve/--tls-client-ca) compopt -o default 2>/dev/null; return ;;
	serve/--tls-client-san) words='' ;;
	serve/--oidc-issuer) words='' ;;
	serve/--oidc-audience) words='' ;;
	serve/--oidc-ca) compopt -o default 2>/dev/null; return ;;
	serve/--oidc-proxy) words='' ;;
	serve/--oidc-header) words='x-kootask-authorization authorization' ;;
	serve/--policy-file) compopt -o default 2>/dev/null; return ;;
	serve/--failed-per-peer) words='' ;;
	serve/--trusted-hops) words='' ;;
	serve/--cors-origin) words='' ;;
	serve/--shutdown-delay) words='' ;;
	config/--config) compopt -o default 2>/dev/null; return ;;
	config/--upstream-url) words='' ;;
	config/--upstream-ca) compopt -o default 2>/dev/null; return ;;
	config/--upstream-proxy) words='' ;;
	config/--upstream-dialect) compopt -o default 2>/dev/null; return ;;
	config/--upstream-auth) words='caller app' ;;
	config/--app-id) words='' ;;
	config/--app-secret-file) compopt -o default 2>/dev/null; return ;;
	config/--app-rps-per-user) words='' ;;
	config/--upstream-timeout) words='' ;;
	config/--upstream-rps) words='' ;;
	config/--upstream-concurrency) words='' ;;
	config/--grpc-addr) words='' ;;
	config/--http-addr) words='' ;;
	config/--admin-addr) words='' ;;
	config/--max-connections) words='' ;;
	config/--poll-min) words='' ;;
	config/--poll-max) words='' ;;
	config/--poll-backoff-max) words='' ;;
	config/--heartbeat) words='' ;;
	config/--stale-after) words='' ;;
	config/--watch-lifetime) words='' ;;
	config/--max-tasks) words='' ;;
	config/--max-tasks-per-credential) words='' ;;
	config/--new-tasks-per-peer) words='' ;;
	config/--shutdown-grace) words='' ;;
	config/--log-level) words='' ;;
	config/--log-format) words='json text' ;;
	config/--tls-cert) compopt -o default 2>/dev/null; return ;;
	config/--tls-key) compopt -o default 2>/dev/null; return ;;
	config/--tls-client-ca) compopt -o default 2>/dev/null; return ;;
	config/--tls-client-san) words='' ;;
	config/--oidc-issuer) words='' ;;
	config/--oidc-audience) words='' ;;
	config/--oidc-ca) compopt -o default 2>/dev/null; return ;;
	config/--oidc-proxy) words='' ;;
	config/--oidc-header) words='x-kootask-authorization authorization' ;;
	config/--policy-file) compopt -o default 2>/dev/null; return ;;
	config/--failed-per-peer) words='' ;;
	config/--trusted-hops) words='' ;;
	config/--cors-origin) words='' ;;
	config/--shutdown-delay) words='' ;;
	demo/--upstream-auth) words='caller app' ;;
	demo/--app-id) words='' ;;
	demo/--app-secret-file) compopt -o default 2>/dev/null; return ;;
	demo/--app-rps-per-user) words='' ;;
	demo/--upstream-timeout) words='' ;;
	demo/--upstream-rps) words='' ;;
	demo/--upstream-concurrency) words='' ;;
	demo/--grpc-addr) words='' ;;
	demo/--http-addr) words='' ;;
	demo/--admin-addr) words='' ;;
	demo/--max-connections) words='' ;;
	demo/--poll-min) words='' ;;
	demo/--poll-max) words='' ;;
	demo/--poll-backoff-max) words='' ;;
	demo/--heartbeat) words='' ;;
	demo/--stale-after) words='' ;;
	demo/--watch-lifetime) words='' ;;
	demo/--max-tasks) words='' ;;
	demo/--max-tasks-per-credential) words='' ;;
	demo/--new-tasks-per-peer) words='' ;;
	demo/--shutdown-grace) words='' ;;
	demo/--log-level) words='' ;;
	demo/--log-format) words='json text' ;;
	demo/--cors-origin) words='' ;;
	demo/--shutdown-delay) words='' ;;
	simulate/--addr) words='' ;;
	simulate/--dialect) compopt -o default 2>/dev/null; return ;;
	simulate/--script) compopt -o default 2>/dev/null; return ;;
	get/--context) words='' ;;
	get/--context-file) compopt -o default 2>/dev/null; return ;;
	get/--addr) words='' ;;
	get/--ca) compopt -o default 2>/dev/null; return ;;
	get/--cert) compopt -o default 2>/dev/null; return ;;
	get/--key) compopt -o default 2>/dev/null; return ;;
	get/--caller-token-file) compopt -o default 2>/dev/null; return ;;
	get/--token-file) compopt -o default 2>/dev/null; return ;;
	get/--user-id) words='' ;;
	get/--output|get/-o) words='auto json' ;;
	get/--color) words='auto always never' ;;
	get/--timeout) words='' ;;
	watch/--context) words='' ;;
	watch/--context-file) compopt -o default 2>/dev/null; return ;;
	watch/--addr) words='' ;;
	watch/--ca) compopt -o default 2>/dev/null; return ;;
	watch/--cert) compopt -o default 2>/dev/null; return ;;
	watch/--key) compopt -o default 2>/dev/null; return ;;
	watch/--caller-token-file) compopt -o default 2>/dev/null; return ;;
	watch/--token-file) compopt -o default 2>/dev/null; return ;;
	watch/--user-id) words='' ;;
	watch/--output|watch/-o) words='auto json' ;;
	watch/--color) words='auto always never' ;;
	wait/--context) words='' ;;
	wait/--context-file) compopt -o default 2>/dev/null; return ;;
	wait/--addr) words='' ;;
	wait/--ca) compopt -o default 2>/dev/null; return ;;
	wait/--cert) compopt -o default 2>/dev/null; return ;;
	wait/--key) compopt -o default 2>/dev/null; return ;;
	wait/--caller-token-file) compopt -o default 2>/dev/null; return ;;
	wait/--token-file) compopt -o default 2>/dev/null; return ;;
	wait/--user-id) words='' ;;
	wait/--output|wait/-o) words='auto json' ;;
	wait/--timeout) words='' ;;
	explain/--dialect) compopt -o default 2>/dev/null; return ;;
	doctor/--upstream-url) words='' ;;
	doctor/--upstream-ca) compopt -o default 2>/dev/null; return ;;
	doctor/--upstream-proxy) words='' ;;
	doctor/--upstream-dialect) compopt -o default 2>/dev/null; return ;;
	doctor/--upstream-auth) words='caller app' ;;
	doctor/--app-id) words='' ;;
	doctor/--app-secret-file) compopt -o default 2>/dev/null; return ;;
	doctor/--task-id) words='' ;;
	doctor/--token-file) compopt -o default 2>/dev/null; return ;;
	doctor/--user-id) words='' ;;
	doctor/--output|doctor/-o) words='auto json' ;;
	doctor/--write) compopt -o default 2>/dev/null; return ;;
	*)
		case $current in
		-*) words=$flags ;;
		*) words=$arguments ;;
		esac
		;;
	esac
	COMPREPLY=($(compgen -P "$prefix" -W "$words" -- "$current"))
}
complete -F _kootask kootask
