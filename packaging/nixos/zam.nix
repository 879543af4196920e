# A module for NixOS: imports = [ ./zam.nix ]; services.zam = { enable = true; settings = { datasets = { ... }; }; };
{ config, lib, pkgs, ... }:
let
  cfg = config.services.zam;
  file = (pkgs.formats.yaml { }).generate "zam.yaml" cfg.settings;
  zam = pkgs.rustPlatform.buildRustPackage {
    pname = "zam";
    version = (lib.importTOML ../../Cargo.toml).package.version;
    src = lib.cleanSource ../..;
    cargoLock.lockFile = ../../Cargo.lock;
    cargoTestFlags = [ "--test" "all" ];
    # zfs comes from the booted system, so that it fits the kernel's module.
    installPhase = ''
      make install NOBUILD=1 DESTDIR=/ PREFIX=$out SYSCONFDIR=$out/etc BUILD=$(dirname $(find target -name zam-generator -type f)) \
        UNITDIR=$out/lib/systemd/system GENERATORDIR=$out/lib/systemd/system-generators \
        SYSUSERSDIR=$out/lib/sysusers.d TMPFILESDIR=$out/lib/tmpfiles.d \
        CATALOGDIR=$out/lib/systemd/catalog \
        EXECPATH=$out/bin:/run/booted-system/sw/bin:/run/wrappers/bin:${lib.makeBinPath [ pkgs.openssh pkgs.zstd pkgs.coreutils ]}
    '';
  };
in
{
  options.services.zam = {
    enable = lib.mkEnableOption "ZFS snapshots, replication and pruning by zam";
    settings = lib.mkOption {
      type = (pkgs.formats.yaml { }).type;
      default = { };
      description = "The contents of /etc/zam/zam.yaml; see zam.yaml(5).";
    };
  };

  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ zam ];
    environment.etc."zam/zam.yaml".source = file;
    systemd.packages = [ zam ]; # units, and the generator
    systemd.tmpfiles.packages = [ zam ];
    users.groups.zam = { };
    users.groups.zam-prune = { };
    users.users.zam = {
      isSystemUser = true;
      group = "zam";
      home = "/var/lib/zam/users/zam";
    };
    users.users.zam-prune = {
      isSystemUser = true;
      group = "zam-prune";
      extraGroups = [ "zam" ];
      home = "/var/lib/zam/users/zam-prune";
    };
    # NixOS reads no /etc/profile.d.
    environment.loginShellInit = builtins.readFile ../../units/profile.sh;
    programs.fish.loginShellInit = builtins.readFile ../../units/profile.fish;
    # A switch restarts units whose files changed, and what a generator writes is none of them.
    systemd.services.zam-switch = {
      description = "Put the configuration of zam into force";
      wantedBy = [ "multi-user.target" ];
      restartTriggers = [ file zam ];
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "${zam}/bin/zam reload";
      };
    };
  };
}
