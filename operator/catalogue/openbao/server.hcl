# One server with its data on a volume. It opens itself with the key in SEAL_KEY.
api_addr     = "http://{{ components.openbao.host }}:{{ components.openbao.ports.http }}"
cluster_addr = "https://{{ components.openbao.host }}:{{ components.openbao.ports.cluster }}"

default_lease_ttl = "768h"
max_lease_ttl     = "87600h"

listener "tcp" {
  address         = "0.0.0.0:8200"
  cluster_address = "0.0.0.0:8201"
  tls_disable     = true
}

storage "raft" {
  path    = "/openbao/data"
  node_id = "openbao-0"
}

seal "static" {
  current_key_id = "plinth-1"
  current_key    = "env://SEAL_KEY"
}

audit "file" "stdout" {
  description = "Who asked for what, secret values hashed."
  options {
    file_path = "stdout"
  }
}

# Once, at the first start. The root token of these requests is revoked after them.
initialize "provisioner" {
  request "policy" {
    operation = "update"
    path      = "sys/policies/acl/plinth-provisioner"
    data = {
      policy = <<-EOT
        path "sys/mounts" { capabilities = ["read"] }
        path "sys/mounts/*" { capabilities = ["create", "read", "update"] }
        path "sys/policies/acl/claim-*" { capabilities = ["create", "read", "update"] }
        path "auth/token/create-orphan" { capabilities = ["create", "update", "sudo"] }
      EOT
    }
  }
  request "passwords" {
    operation = "update"
    path      = "sys/auth/userpass"
    data = {
      type = "userpass"
    }
  }
  request "user" {
    operation = "update"
    path      = "auth/userpass/users/{{ secrets.provisioner.username }}"
    data = {
      password       = "{{ secrets.provisioner.password }}"
      token_policies = ["plinth-provisioner"]
      token_ttl      = "10m"
    }
  }
}
